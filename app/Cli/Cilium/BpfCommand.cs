// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium bpf ...</c>: the pinned maps themselves, also while no agent runs.</summary>
internal sealed class BpfCommand(TextWriter output)
{
    public const string DefaultRoot = "/sys/fs/bpf";

    private const string Usage =
        "cilium bpf lb list | lb maglev list|get SERVICE | lb source-range list | ct list|flush global|ENDPOINT | nat list|flush | "
        + "nat retries list | ipmasq list | policy get ENDPOINT|--all | ipcache list | ipcache get ADDRESS | endpoint list | metrics list [flags]";

    private readonly AgentFlags _flags = new(Usage);
    private string _root = EnvironmentRoot();
    private bool _isAll;
    private bool _isNumeric;
    private bool _withTimeLeft;
    private ServiceView _serviceView = ServiceView.Slots;

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        AddFlags(_flags.Set);
        if (_flags.Parse(arguments, output) is not { } words)
            return 0;
        if (!IsKnown(words))
            throw new UserErrorException($"unknown arguments \"{string.Join(' ', words)}\"; usage: {Usage}");
        IdentityNames? names = words is ["policy", ..] && !_isNumeric
            ? await IdentityNames.FromAgentAsync(_flags, cancellation).ConfigureAwait(false) : null;
        try
        {
            using DatapathDump maps = Open(_root);
            return Run(maps, words, names);
        }
        catch (Exception e) when (e is SystemCallException or InvalidOperationException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the maps below {_root} cannot be read: {e.Message}");
        }
    }

    /// <summary>CILIUM_BPF_ROOT, or where the file system of pins usually is.</summary>
    public static string EnvironmentRoot()
        => Environment.GetEnvironmentVariable("CILIUM_BPF_ROOT") is { Length: > 0 } root ? root : DefaultRoot;

    /// <summary>True when there are maps that the caller may see.</summary>
    public static bool HasMaps(string root) => Environment.IsPrivilegedProcess && Directory.Exists(new DatapathPaths(root).Maps);

    /// <exception cref="UserErrorException">There are no maps, or none that the caller may see.</exception>
    public static DatapathDump Open(string root)
    {
        string folder = new DatapathPaths(root).Maps;
        if (!Environment.IsPrivilegedProcess)
            throw new UserErrorException($"reading the maps below {root} needs root");
        if (!Directory.Exists(folder))
            throw new UserErrorException($"no maps are pinned in {folder}; has cilium-agent run on this node? (--bpf-root names another root)");
        return new DatapathDump(root);
    }

    private void AddFlags(FlagSet flags)
        => flags.Value("bpf-root", v => _root = v, "DIRECTORY", $"where the maps are pinned (CILIUM_BPF_ROOT, {DefaultRoot})")
            .Switch("time-diff", v => _withTimeLeft = v, "connections: the time until they expire, too", 'd')
            .Switch("all", v => _isAll = v, "policy: of every endpoint")
            .Switch("numeric", v => _isNumeric = v, "policy: numbers of identities instead of labels", 'n')
            .Switch("frontends", v => Choose(v, ServiceView.Frontends), "services: without their backends")
            .Switch("backends", v => Choose(v, ServiceView.Backends), "services: the table of backends")
            .Switch("revnat", v => Choose(v, ServiceView.ReverseNat), "services: their numbers and addresses")
            .Switch("affinity", v => Choose(v, ServiceView.Affinity), "services: clients that are bound to a backend")
            .Switch("source-ranges", v => Choose(v, ServiceView.SourceRanges), "services: who may connect from outside");

    private void Choose(bool isOn, ServiceView view)
    {
        if (isOn)
            _serviceView = view;
    }

    // Asked first, so that a typing error is not answered with the state of the maps.
    private bool IsKnown(List<string> words) => words switch
    {
        ["lb" or "ipcache" or "endpoint" or "metrics", "list"] or ["policy", "list"] => true,
        ["lb", "maglev", "list"] or ["lb", "maglev", "get", _] or ["lb", "source-range", "list"] => true,
        ["nat", "list" or "flush"] or ["nat", "retries", "list"] or ["ipmasq", "list"] => true,
        ["ct", "list", _] or ["ct", "flush", "global"] or ["ipcache", "get" or "match", _] => true,
        ["policy", "get", _] => !_isAll,
        ["policy", "get"] => _isAll,
        _ => false,
    };

    private int Run(DatapathDump maps, List<string> words, IdentityNames? names)
    {
        switch (words)
        {
            case ["lb", ..]:
                RunServices(maps, words);
                return 0;
            case ["nat" or "ipmasq", ..]:
                RunTranslations(maps, words);
                return 0;
            case ["ct", "list", "global"]:
                new BpfConntrackText(output, _flags).Print(maps.Conntrack(), LocalAddresses(maps), _withTimeLeft);
                return 0;
            case ["ct", "flush", "global"]:
                foreach ((string map, int deleted) in maps.FlushConntrack())
                    output.WriteLine($"Flushed {deleted} entries from {map}");
                return 0;
            case ["ct", _, string endpoint]:
                HashSet<IpAddress> own = AddressesOf(maps, EndpointId(endpoint));
                new BpfConntrackText(output, _flags).Print(
                    maps.Conntrack().Where(c => own.Contains(c.Source.Address) || own.Contains(c.Destination.Address)), own, _withTimeLeft);
                return 0;
            case ["policy", _, string endpoint]:
                return PrintPolicy(maps, EndpointId(endpoint), names);
            case ["policy", _]:
                Policies(names).PrintAll(maps.PolicyEndpoints().Order().Select(maps.Policy).OfType<EndpointPolicy>());
                return 0;
            case ["ipcache", "list"]:
                new BpfAddressText(output, _flags).PrintIpcache(maps.Ipcache());
                return 0;
            case ["ipcache", _, string address]:
                return new BpfAddressText(output, _flags).PrintIdentityOf(Address(address), maps.Ipcache());
            case ["endpoint", _]:
                new BpfAddressText(output, _flags).PrintEndpoints(maps.Endpoints());
                return 0;
            default:
                new BpfMetricText(output, _flags).Print(maps.Metrics());
                return 0;
        }
    }

    private void RunServices(DatapathDump maps, List<string> words)
    {
        switch (words)
        {
            case ["lb", "maglev", "list"]:
                new BpfMaglevText(output, _flags).PrintAll(maps.Maglev());
                break;
            case ["lb", "maglev", _, string service]:
                new BpfMaglevText(output, _flags).PrintOne(
                    ushort.TryParse(service, out ushort number) ? number : throw new UserErrorException($"\"{service}\" is not the number of a service"),
                    maps.Maglev());
                break;
            default:
                new BpfServiceText(output, _flags).Print(maps, words is ["lb", "source-range", _] ? ServiceView.SourceRanges : _serviceView);
                break;
        }
    }

    private void RunTranslations(DatapathDump maps, List<string> words)
    {
        switch (words)
        {
            case ["nat", "list"]:
                new BpfNatText(output, _flags).Print(maps.Nat());
                break;
            case ["nat", "flush"]:
                foreach ((string map, int deleted) in maps.FlushNat())
                    output.WriteLine($"Flushed {deleted} entries from {map}");
                break;
            case ["nat", "retries", _]:
                new BpfNatText(output, _flags).PrintRetries(maps.NatRetries());
                break;
            default:
                PrintMasqueradeExceptions(maps.MasqueradeExceptions());
                break;
        }
    }

    private void PrintMasqueradeExceptions(IEnumerable<IpPrefix> exceptions)
    {
        string[] texts = [.. exceptions.Order().Select(prefix => prefix.ToString())];
        if (_flags.IsStructured)
        {
            _flags.WriteStructured(output, texts, CliJson.Default.IReadOnlyListString);
            return;
        }

        output.WriteLine("IP PREFIX/ADDRESS");
        foreach (string text in texts)
            output.WriteLine(text);
    }

    private int PrintPolicy(DatapathDump maps, ushort endpoint, IdentityNames? names)
    {
        EndpointPolicy policy = maps.Policy(endpoint)
            ?? throw new UserErrorException($"endpoint {endpoint} has no policy map {new DatapathPaths(_root).PolicyMap(endpoint)}");
        Policies(names).PrintOne(policy);
        return 0;
    }

    private BpfPolicyText Policies(IdentityNames? names) => new(output, _flags, new DatapathPaths(_root), names);

    private static HashSet<IpAddress> LocalAddresses(DatapathDump maps) => [.. maps.Endpoints().Where(e => !e.IsHost).Select(e => e.Address)];

    private static HashSet<IpAddress> AddressesOf(DatapathDump maps, ushort endpoint)
    {
        HashSet<IpAddress> addresses = [.. maps.Endpoints().Where(e => !e.IsHost && e.EndpointId == endpoint).Select(e => e.Address)];
        return addresses.Count > 0 ? addresses : throw new UserErrorException($"endpoint {endpoint} has no address on this node");
    }

    private static ushort EndpointId(string text)
        => ushort.TryParse(text, out ushort id) ? id : throw new UserErrorException($"\"{text}\" is not the number of an endpoint");

    private static IpAddress Address(string text)
        => IpPrefix.TryParse(text, out IpPrefix prefix, allowBareAddress: true) && prefix.IsSingle
            ? prefix.Address : throw new UserErrorException($"\"{text}\" is not an IP address");
}
