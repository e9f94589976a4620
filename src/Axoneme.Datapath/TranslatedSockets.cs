// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>A socket that named a service and got a backend. The maps do not have the protocol, which is that of the socket.</summary>
/// <param name="Cookie">The number of the socket (SO_COOKIE).</param>
/// <param name="Backend">What it was translated to.</param>
/// <param name="Frontend">What it asked for.</param>
public readonly record struct TranslatedSocket(ulong Cookie, L4Address Backend, L4Address Frontend);

/// <summary>What the socket programs remember of their translations. The maps evict by age, and have entries of sockets that are gone.</summary>
public sealed class TranslatedSockets
{
    private readonly BpfMap<Lb4ReverseSkKey, Lb4ReverseSk> _v4;
    private readonly BpfMap<Lb6ReverseSkKey, Lb6ReverseSk> _v6;

    public TranslatedSockets(DatapathMaps maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        _v4 = maps[Maps.CiliumLb4ReverseSk.Spec.Name].As<Lb4ReverseSkKey, Lb4ReverseSk>();
        _v6 = maps[Maps.CiliumLb6ReverseSk.Spec.Name].As<Lb6ReverseSkKey, Lb6ReverseSk>();
    }

    public IEnumerable<TranslatedSocket> Read()
    {
        foreach ((Lb4ReverseSkKey key, Lb4ReverseSk value) in _v4.Entries())
            yield return new TranslatedSocket(key.Cookie, At(key.Addr.ToAddress(), key.Port.Value), At(value.Addr.ToAddress(), value.Port.Value));
        foreach ((Lb6ReverseSkKey key, Lb6ReverseSk value) in _v6.Entries())
            yield return new TranslatedSocket(key.Cookie, At(key.Addr.ToAddress(), key.Port.Value), At(value.Addr.ToAddress(), value.Port.Value));
    }

    /// <summary>Removes the entry of a socket that has ended.</summary>
    public void Forget(TranslatedSocket socket)
    {
        (ulong cookie, L4Address backend, _) = socket;
        if (backend.Address.IsV6)
            _v6.TryDelete(new Lb6ReverseSkKey { Cookie = cookie, Addr = backend.Address.ToV6(), Port = backend.Port });
        else
            _v4.TryDelete(new Lb4ReverseSkKey { Cookie = cookie, Addr = backend.Address.ToV4(), Port = backend.Port });
    }

    private static L4Address At(IpAddress address, ushort port) => new(address, port, L4Protocol.Any);
}
