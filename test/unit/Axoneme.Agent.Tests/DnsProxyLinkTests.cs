// SPDX-License-Identifier: Apache-2.0
using System.Threading.Channels;
using Axoneme.Agent.Cni;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Dns;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Policies;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

/// <summary>Agent and a proxy that only notes what it is told. Endpoint 4 may ask for *.example.org, and reach what the answers say.</summary>
public sealed class DnsProxyLinkTests : IAsyncDisposable
{
    private static readonly IpAddress Server = IpAddress.Parse("203.0.113.7");
    private static readonly PolicyObjectKey Key = new(PolicyKind.CiliumNetworkPolicy, "shop", "names");

    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
    private readonly string _folder = Directory.CreateTempSubdirectory("axoneme-dns").FullName;
    private readonly Ipcache.Ipcache _ipcache = new();
    private readonly PolicyController _controller;
    private readonly EndpointTables _endpoints;
    private readonly DnsProxyLink _link;
    private readonly Channel<ProxyMessage> _told = Channel.CreateUnbounded<ProxyMessage>();
    private readonly PolicyEngine _engine = new(PolicyOptions.Default);
    private Task _running = Task.CompletedTask;
    private DnsProxyConnection? _agent;

    public DnsProxyLinkTests()
    {
        _controller = new PolicyController(_engine, _ipcache) { HasProxy = true };
        _endpoints = new EndpointTables(_ipcache);
        _link = new DnsProxyLink(
            new AgentOptions { NodeName = "n", StateDirectory = _folder }, _controller, _endpoints.Endpoints, NullLogger<DnsProxyLink>.Instance);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _link.Dispose();
        _stop.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static DnsPattern Pattern(string text) => DnsPattern.TryParsePattern(text, out DnsPattern pattern, out _) ? pattern : throw new FormatException(text);

    private static NetworkRule Rule(IdentitySelector? peer, Redirect? redirect, params L4Match[] ports) => new()
    {
        Subject = new LabelsSelector(LabelRequirement.Equal("k8s", "app", "web")),
        Direction = TrafficDirection.Egress,
        Peers = peer is null ? null : [peer],
        Ports = [.. ports],
        Redirect = redirect,
        Origin = new RuleOrigin(Key, "u", "spec.egress[0]", LabelSet.Empty),
    };

    private void AddRules(params string[] names)
    {
        _ = _controller.ChangeAsync(engine => engine.UpsertPolicy(new PolicyDocument(
            Key,
            [
                Rule(null, DnsRedirect.Of(names.Select(Pattern)), L4Match.Single(L4Protocol.Udp, 53)),
                Rule(new Policy.FqdnSelector(Pattern("*.example.org")), null, L4Match.Single(L4Protocol.Tcp, 443)),
            ])));
    }

    private void AddEndpoint()
    {
        _endpoints.Endpoints.Upsert(new Endpoint
        {
            Id = 4,
            Attachment = new CniAttachmentId("c", "eth0"),
            NetworkNamespace = "/run/netns/c",
            Pod = new ResourceName("shop", "web"),
            HostInterface = "lxc1",
            HostMac = default,
            PodMac = default,
            IPv4 = IpAddress.Parse("10.0.0.4"),
            Identity = new SecurityIdentity(300),
        });
        _ = _controller.ChangeAsync(engine => engine.UpsertEndpoint(4, new SecurityIdentity(300), LabelSet.Parse("k8s:app=web")));
    }

    private void Start(params CachedMapping[] cache)
    {
        DnsProxyServer server = DnsProxyServer.Listen(Path.Combine(_folder, ProxyMessage.SocketName), () => new ProxyHello(10053, 1));
        Task serving = server.RunAsync(
            async (connection, cancellation) =>
            {
                await connection.SendAsync(new CacheContents(cache), cancellation);
                await connection.SendAsync(new CacheEnd(), cancellation);
                _agent = connection;
                while (await connection.ReceiveAsync(cancellation) is { } message)
                    _told.Writer.TryWrite(message);
            },
            _stop.Token);
        _running = Task.WhenAll(serving, _link.RunAsync(_stop.Token), _controller.RunAsync(_stop.Token)).ContinueWith(
            done => server.Dispose(), TaskScheduler.Default);
    }

    private async Task<T> ToldAsync<T>()
        where T : ProxyMessage
    {
        while (true)
        {
            if (await _told.Reader.ReadAsync(_stop.Token).AsTask().WaitAsync(TimeSpan.FromSeconds(30)) is T message)
                return message;
        }
    }

    [Fact]
    public async Task Proxy_is_told_everything_once_policies_are_complete_and_then_what_changes()
    {
        AddRules("*.example.org");
        AddEndpoint();
        Start();
        await _link.WhenCachedAsync(TimeSpan.FromSeconds(30), _stop.Token);
        Assert.Equal(0, _told.Reader.Count);
        await _controller.ReleaseAsync();
        await ToldAsync<SnapshotBegin>();
        Assert.Equal(100, (await ToldAsync<SetOptions>()).Options.MaximalDelayMilliseconds);
        SelectorSet[] sets = [.. (await ToldAsync<UpdateSets>()).Upsert];
        Assert.Equal([false, true], sets.Select(s => s.IsV6!.Value).Order());
        Assert.All(sets, s => Assert.Equal("*.example.org", Assert.Single(s.Patterns).Text));
        ProxiedEndpoint endpoint = Assert.Single((await ToldAsync<UpdateEndpoints>()).Upsert);
        Assert.Equal(("10.0.0.4", 300u), (endpoint.Addresses[0].ToString(), endpoint.Identity.Value));
        Assert.Contains(endpoint.Rules, r => r.Peer == SecurityIdentity.Unknown && r.Protocol == L4Protocol.Udp && r.Port == 53);
        await ToldAsync<SnapshotEnd>();
        AddRules("a.example.org");
        endpoint = Assert.Single((await ToldAsync<UpdateEndpoints>()).Upsert);
        Assert.All(endpoint.Rules, r => Assert.Equal("a.example.org", Assert.Single(r.Names).Text));
        Assert.Equal(10053, _controller.Table.Snapshot().Find(4)!.Entries.Values.First(e => e.Key.Port == 53).ProxyPort);
    }

    [Fact]
    public async Task Answer_is_acknowledged_when_its_addresses_are_in_the_kernel()
    {
        var kernel = new TaskCompletionSource();
        _controller.WhenAddressInKernelAsync = (_, cancellation) => kernel.Task.WaitAsync(cancellation);
        AddRules("*.example.org");
        AddEndpoint();
        Start();
        await _controller.ReleaseAsync();
        await ToldAsync<SnapshotEnd>();
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        await _agent!.SendAsync(new Learned(9, [new LearnedName(4, "a.example.org", [Server], 60, now)]), _stop.Token);
        while (_ipcache.Find(Server) is null)
            await Task.Delay(1, _stop.Token);
        // What is said behind the question comes first as long as its addresses are not there.
        Assert.True(DnsPattern.TryParseName("other.test", out DnsPattern other, out _));
        await _link.ForgetAsync(new Forget(other), _stop.Token);
        Assert.IsType<Forget>(await _told.Reader.ReadAsync(_stop.Token));
        Assert.Equal(0, _told.Reader.Count);
        kernel.SetResult();
        Assert.Equal([9L], (await ToldAsync<LearnedAcknowledgement>()).Ids);
        SecurityIdentity id = _ipcache.Find(Server)!.Identity;
        Assert.Equal("fqdn:*.example.org,reserved:world-ipv4", _controller.Read(e => e.FindIdentity(id))!.Labels.ToString());
    }

    [Fact]
    public async Task Cache_of_the_proxy_is_taken_over_before_anything_is_released()
    {
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        AddRules("*.example.org");
        AddEndpoint();
        Start(new CachedMapping(4, "a.example.org", Server, now + 60, now, 60));
        await _link.WhenCachedAsync(TimeSpan.FromSeconds(30), _stop.Token);
        await _controller.ReleaseAsync();
        Assert.NotNull(_ipcache.Find(Server));
    }

    [Fact]
    public async Task Refused_question_without_lists_is_reported_and_ends_nothing()
    {
        var seen = Channel.CreateUnbounded<QueryRecord>();
        _link.OnQuery = record => seen.Writer.TryWrite(record);
        AddRules("*.example.org");
        AddEndpoint();
        Start();
        await _controller.ReleaseAsync();
        await ToldAsync<SnapshotEnd>();
        // As the proxy writes it: what is empty is left out.
        byte[] json = """{"kind":"queries","records":[{"time":1,"endpoint":4,"client":{"address":"10.0.0.4","port":4000,"protocol":"Udp"},"server":{"address":"10.0.0.53","port":53,"protocol":"Udp"},"serverIdentity":400,"name":"evil.test","queryType":1,"outcome":"Refused","rcode":5}],"lost":0}"""u8.ToArray();
        await _agent!.SendJsonAsync(json, _stop.Token);
        QueryRecord record = await seen.Reader.ReadAsync(_stop.Token).AsTask().WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Empty(record.Cnames);
        Assert.Empty(record.Addresses);
        AddRules("a.example.org");
        Assert.Single((await ToldAsync<UpdateEndpoints>()).Upsert);
    }

    [Fact]
    public void Saved_names_and_their_numbers_survive_the_agent()
    {
        var file = new NamesFile(_folder, NullLogger<NamesFile>.Instance);
        AddRules("*.example.org");
        _engine.Names.Learn("a.example.org", [Server], 4, DateTimeOffset.UnixEpoch, TimeSpan.FromSeconds(60));
        PolicyUpdate before = _engine.Commit();
        file.Save(10053, _engine);

        var engine = new PolicyEngine(PolicyOptions.Default);
        Assert.Equal(10053, file.Restore(engine));
        Assert.True(engine.RestorePrefix(IpPrefix.Single(Server), before.PrefixUpserts[0].Value));
        Assert.Equal(before.PrefixUpserts, engine.Commit().PrefixUpserts);
        Assert.Equal(_engine.Names.Entries.Single().Lease.Expires, engine.Names.Entries.Single().Lease.Expires);
    }
}
