// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>A pattern in use by rules.</summary>
internal sealed class NamePattern(DnsPattern pattern)
{
    public DnsPattern Pattern { get; } = pattern;

    /// <summary>Rules that have it as a peer.</summary>
    public int References { get; set; }

    /// <summary>Known names that match.</summary>
    public HashSet<KnownName> Names { get; } = [];

    /// <summary>Labels of identities held ready for the first answer.</summary>
    public List<LabelSet> Prepared { get; } = [];
}
