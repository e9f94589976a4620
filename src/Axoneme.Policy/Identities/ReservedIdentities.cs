// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Labels of the identities whose numbers are fixed.</summary>
public static class ReservedIdentities
{
    internal const string RemoteNode = "remote-node";

    /// <summary>With one family the two identities that tell the families of the world apart do not exist.</summary>
    public static IEnumerable<KeyValuePair<SecurityIdentity, LabelSet>> Labels(bool dualStack)
    {
        foreach ((uint number, string name) in SecurityIdentity.ReservedNames.OrderBy(p => p.Key))
        {
            var id = new SecurityIdentity(number);
            if (id == SecurityIdentity.Unknown || (!dualStack && (id == SecurityIdentity.WorldIPv4 || id == SecurityIdentity.WorldIPv6)))
                continue;
            yield return KeyValuePair.Create(id, LabelsOf(id, name));
        }
    }

    // API servers outside the own node are nodes as well.
    private static LabelSet LabelsOf(SecurityIdentity id, string name)
        => id == SecurityIdentity.KubeApiServer
            ? LabelSet.From([new Label(Label.Reserved, name, ""), new Label(Label.Reserved, RemoteNode, "")])
            : LabelSet.Reserved(name);
}
