// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Keeps which namespaces' sockets reach a frontend's own address (skipRedirectFromBackend of local redirect policies).</summary>
public sealed class SkippedTranslationTarget : MapTarget<SkippedTranslation, SkippedTranslation>
{
    public SkippedTranslationTarget(DatapathMaps maps)
        : base(e => e, V4(maps), V6(maps))
    {
    }

    private static MapView<SkippedTranslation, SkippedTranslation, Lb4SkipKey, byte> V4(DatapathMaps maps) => new(maps.Skipped4)
    {
        OwnsKey = s => !s.Frontend.Address.IsV6,
        EncodeKey = s => new Lb4SkipKey
        {
            NetnsCookie = s.NetworkNamespaceCookie,
            Addr = s.Frontend.Address.ToV4(),
            Port = s.Frontend.Port,
            Protocol = (byte)s.Frontend.Protocol,
        },
        EncodeValue = _ => 0,
        Decode = (key, _) => Entry(key.NetnsCookie, new L4Address(key.Addr.ToAddress(), key.Port.Value, (L4Protocol)key.Protocol)),
    };

    private static MapView<SkippedTranslation, SkippedTranslation, Lb6SkipKey, byte> V6(DatapathMaps maps) => new(maps.Skipped6)
    {
        OwnsKey = s => s.Frontend.Address.IsV6,
        EncodeKey = s => new Lb6SkipKey
        {
            NetnsCookie = s.NetworkNamespaceCookie,
            Addr = s.Frontend.Address.ToV6(),
            Port = s.Frontend.Port,
            Protocol = (byte)s.Frontend.Protocol,
        },
        EncodeValue = _ => 0,
        Decode = (key, _) => Entry(key.NetnsCookie, new L4Address(key.Addr.ToAddress(), key.Port.Value, (L4Protocol)key.Protocol)),
    };

    private static KeyValuePair<SkippedTranslation, SkippedTranslation> Entry(ulong cookie, L4Address frontend)
    {
        var entry = new SkippedTranslation(cookie, frontend);
        return new(entry, entry);
    }
}
