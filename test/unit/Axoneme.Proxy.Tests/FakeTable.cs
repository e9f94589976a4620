// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;
using Axoneme.Proxy.Names;

namespace Axoneme.Proxy.Tests;

/// <summary>Identities by address, as the kernel's maps keep them.</summary>
internal sealed class FakeTable : IAddressTable
{
    public Dictionary<IpAddress, SecurityIdentity> Entries { get; } = [];

    public bool IsFull { get; set; }

    public bool TryFind(IpAddress address, out SecurityIdentity identity) => Entries.TryGetValue(address, out identity);

    public WriteOutcome Write(IpAddress address, SecurityIdentity identity, SecurityIdentity? earlier)
    {
        if (IsFull)
            return WriteOutcome.Failed;
        if (Entries.TryGetValue(address, out SecurityIdentity present) && present != earlier)
            return WriteOutcome.Present;
        Entries[address] = identity;
        return WriteOutcome.Written;
    }
}

/// <summary>Stands still until it is moved.</summary>
internal sealed class ManualTime : TimeProvider
{
    private DateTimeOffset _now = DateTimeOffset.FromUnixTimeSeconds(1_000_000);

    public override DateTimeOffset GetUtcNow() => _now;

    public void Advance(int seconds) => _now = _now.AddSeconds(seconds);
}

internal static class Text
{
    public static DnsPattern Pattern(string text)
        => DnsPattern.TryParsePattern(text, out DnsPattern pattern, out string problem) ? pattern : throw new FormatException(problem);

    public static IpAddress Ip(string text) => IpAddress.Parse(text);
}
