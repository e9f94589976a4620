// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Axoneme.Linux;

namespace Axoneme.Bpf.KernelTests;

public sealed class LinkTests : IDisposable
{
    private const int Loopback = 1;
    private static readonly BpfObjectImage Sample =
        BpfObjectImage.FromResource(Assembly.GetExecutingAssembly(), "sample");
    private readonly Sandbox _sandbox = new();
    private readonly NetworkNamespace _namespace;
    private readonly BpfObject _object;
    private readonly BpfMap<uint, ulong> _counters;

    public LinkTests()
    {
        _namespace = _sandbox.CreateNamespace();
        _object = Sample.Open();
        _object.Load();
        _counters = new BpfMap<uint, ulong>(_object.Map("sample_counters"));
    }

    public void Dispose()
    {
        _counters.Dispose();
        _object.Dispose();
        _sandbox.Dispose();
    }

    [Fact]
    public void Tcx_program_sees_packets_until_the_link_is_closed()
    {
        using (BpfLink link = AttachTcx("decide"))
        {
            Assert.Equal((BpfLinkType.Tcx, Loopback, BpfAttachType.TcxIngress), Describe(link.GetInfo()));
            Send(3);
            Assert.Equal(3ul, Count(0));
        }

        Send(2);
        Assert.Equal(3ul, Count(0));

        static (BpfLinkType, int, BpfAttachType) Describe(BpfLinkInfo info)
            => (info.Type, info.InterfaceIndex, info.AttachType);
    }

    [Fact]
    public void Pinned_link_is_adopted_and_its_program_replaced_without_a_packet_that_meets_none()
    {
        string pin = _sandbox.Pin("link");
        using (BpfLink link = AttachTcx("decide"))
            link.Pin(pin);
        Send(1);
        using BpfLink adopted = BpfLink.OpenPinned(pin);
        uint before = adopted.GetInfo().ProgramId;
        using var stop = new CancellationTokenSource();
        int sent = 1;
        var traffic = new Thread(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                Send(10);
                sent += 10;
            }
        });
        traffic.Start();
        for (int i = 0; i < 51; i++)
            adopted.Update(_object.Program(i % 2 == 0 ? "decide_otherwise" : "decide"));
        stop.Cancel();
        traffic.Join();
        Assert.NotEqual(before, adopted.GetInfo().ProgramId);
        Assert.Equal((ulong)sent, Count(0) + Count(1));
        adopted.Detach();
        Send(5);
        Assert.Equal((ulong)sent, Count(0) + Count(1));
        Assert.Equal(0, adopted.GetInfo().InterfaceIndex);
        Assert.True(BpfFileSystem.Unpin(pin));
        Assert.False(BpfFileSystem.Unpin(pin));
    }

    [Fact]
    public void First_position_runs_before_what_is_attached()
    {
        using BpfLink later = AttachTcx("decide");
        using BpfObject dropping = Sample.Open();
        dropping.SetConstant("verdict", (uint)TcVerdict.Drop);
        dropping.Load();
        using BpfLink first = _namespace.Run(
            () => BpfLink.AttachTcx(
                dropping.Program("decide_otherwise"), Loopback, TcDirection.Ingress, TcxPosition.First));
        Send(2);
        Assert.Equal(0ul, Count(0));
    }

    [Fact]
    public void Query_lists_what_is_attached_in_the_order_it_runs()
    {
        IReadOnlyList<BpfAttachment> Query()
            => _namespace.Run(() => BpfAttachment.QueryTcx(Loopback, TcDirection.Ingress));
        Assert.Empty(Query());
        using BpfLink second = AttachTcx("decide");
        using BpfLink first = _namespace.Run(
            () => BpfLink.AttachTcx(_object.Program("emit"), Loopback, TcDirection.Ingress, TcxPosition.First));
        Assert.Equal([Of(first), Of(second)], Query());
        using BpfProgram opened = BpfProgram.OpenById(Query()[0].ProgramId);
        Assert.Equal("emit", opened.Name);

        static BpfAttachment Of(BpfLink link) => new(link.GetInfo().ProgramId, link.GetInfo().Id);
    }

    [Fact]
    public void Query_of_a_cgroup_lists_its_programs()
    {
        string cgroup = _sandbox.CreateCgroup();
        Assert.Empty(BpfAttachment.QueryCgroup(cgroup, BpfAttachType.CgroupInet4Connect));
        using BpfLink link = BpfLink.AttachCgroup(_object.Program("permit"), cgroup, BpfAttachType.CgroupInet4Connect);
        BpfAttachment attached = Assert.Single(BpfAttachment.QueryCgroup(cgroup, BpfAttachType.CgroupInet4Connect));
        Assert.Equal(link.GetInfo().ProgramId, attached.ProgramId);
    }

    [Fact]
    public void Clsact_filter_is_replaced_queried_and_removed()
    {
        uint Query() => _namespace.Run(() => TcFilter.Query(Loopback, TcDirection.Ingress));
        Assert.Equal(0u, Query());
        _namespace.Run(() => TcFilter.Attach(_object.Program("decide"), Loopback, TcDirection.Ingress));
        Send(1);
        _namespace.Run(() => TcFilter.Attach(_object.Program("decide_otherwise"), Loopback, TcDirection.Ingress));
        Assert.Equal(_object.Program("decide_otherwise").GetInfo().Id, Query());
        Send(1);
        Assert.Equal((1ul, 1ul), (Count(0), Count(1)));
        Assert.True(_namespace.Run(() => TcFilter.Detach(Loopback, TcDirection.Ingress)));
        Assert.False(_namespace.Run(() => TcFilter.Detach(Loopback, TcDirection.Ingress)));
        Send(1);
        Assert.Equal((1ul, 1ul), (Count(0), Count(1)));
    }

    [Fact]
    public void Generic_xdp_sees_packets_of_a_device()
    {
        using BpfLink link =
            _namespace.Run(() => BpfLink.AttachXdp(_object.Program("pass"), Loopback, XdpMode.Generic));
        Assert.Equal(BpfLinkType.Xdp, link.GetInfo().Type);
        Send(4);
        Assert.Equal(4ul, Count(2));
    }

    [Fact]
    public void Cgroup_link_governs_processes_of_that_cgroup_only()
    {
        string cgroup = _sandbox.CreateCgroup();
        Assert.Contains("refused", Connect(), StringComparison.Ordinal);
        using (BpfLink link = BpfLink.AttachCgroup(_object.Program("refuse"), cgroup, BpfAttachType.CgroupInet4Connect))
        {
            Assert.Equal(BpfAttachType.CgroupInet4Connect, link.GetInfo().AttachType);
            Assert.Contains("not permitted", Connect(), StringComparison.Ordinal);
            link.Update(_object.Program("permit"));
            Assert.Contains("refused", Connect(), StringComparison.Ordinal);
        }

        // Port 1 of the namespace's own loopback: nothing listens there.
        string Connect() => Sandbox.Run(
            "nsenter", $"--net=/proc/{Environment.ProcessId}/fd/{_namespace.Descriptor}", "bash", "-c",
            $"echo $$ > {cgroup}/cgroup.procs; exec 3<>/dev/tcp/127.0.0.1/1").Error;
    }

    [Fact]
    public void Namespace_link_decides_about_listeners_of_that_namespace()
    {
        using var listener = _namespace.Run(() =>
        {
            var socket = new TcpListener(IPAddress.Loopback, 0);
            socket.Start();
            return socket;
        });
        var address = (IPEndPoint)listener.LocalEndpoint;
        using (BpfLink link =
            BpfLink.AttachNetworkNamespace(_object.Program("hide_listeners"), _namespace, BpfAttachType.SkLookup))
        {
            Assert.Equal(BpfLinkType.NetworkNamespace, link.GetInfo().Type);
            Assert.Throws<SocketException>(Connect);
        }

        Connect();

        void Connect() => _namespace.Run(() =>
        {
            using var client = new TcpClient();
            client.Connect(address);
        });
    }

    [Fact]
    public void Attaching_to_a_missing_device_names_program_and_device()
    {
        var failure = Assert.Throws<SystemCallException>(
            () => _namespace.Run(() => BpfLink.AttachTcx(_object.Program("decide"), 4242, TcDirection.Egress)));
        Assert.Equal(Errno.ENODEV, failure.Errno);
        Assert.Contains("decide", failure.Message, StringComparison.Ordinal);
        Assert.Contains("4242", failure.Message, StringComparison.Ordinal);
    }

    private BpfLink AttachTcx(string program)
        => _namespace.Run(() => BpfLink.AttachTcx(_object.Program(program), Loopback, TcDirection.Ingress));

    private ulong Count(uint index) => _counters.TryLookup(index, out ulong count) ? count : 0;

    private void Send(int count) => _namespace.Run(() =>
    {
        // A bound receiver, so that each datagram is one packet and no ICMP error comes back.
        using var receiver = new UdpClient(new IPEndPoint(IPAddress.Loopback, 0));
        using var sender = new UdpClient();
        for (int i = 0; i < count; i++)
            sender.Send([1, 2, 3], (IPEndPoint)receiver.Client.LocalEndPoint!);
    });
}
