// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography;
using System.Text;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Policy;

/// <summary>
/// Groups of addresses that a cloud knows. Whoever asks the cloud writes the answer into a CiliumCIDRGroup with the label that stands for the
/// group; until then the group selects nobody.
/// </summary>
public static class ExternalGroups
{
    /// <summary>The label's key is this and a hash of what the group says; its value is of no importance.</summary>
    public const string LabelPrefix = "extgrp.cilium.io/";

    /// <summary>The same for groups that say the same, whatever the order of their members.</summary>
    public static string LabelOf(PeerGroup group)
    {
        ArgumentNullException.ThrowIfNull(group);
        const int Digits = 32;
        AwsGroup aws = group.Aws ?? new AwsGroup();
        var text = new StringBuilder("aws\n");
        Add("region", [aws.Region ?? ""]);
        Add("labels", (aws.Labels ?? new Dictionary<string, string>()).Select(l => $"{l.Key}={l.Value}"));
        Add("securityGroupsIds", aws.SecurityGroupsIds ?? []);
        Add("securityGroupsNames", aws.SecurityGroupsNames ?? []);
        return LabelPrefix + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())))[..Digits];

        // Lengths in front keep members with blanks or line ends apart.
        void Add(string name, IEnumerable<string> values)
        {
            text.Append(name);
            foreach (string value in values.Order(StringComparer.Ordinal))
                text.Append(' ').Append(value.Length).Append(':').Append(value);
            text.Append('\n');
        }
    }
}
