// SPDX-License-Identifier: Apache-2.0
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>Listening sockets of an earlier process. What nobody takes is closed in the end.</summary>
internal sealed class KeptSockets : IDisposable
{
    private readonly List<(int Type, SocketAddress Address, ProxySocket Socket)> _sockets = [];

    /// <param name="descriptors">They belong to this object now.</param>
    public KeptSockets(IReadOnlyList<int> descriptors)
    {
        foreach (int descriptor in descriptors)
        {
            ProxySocket socket = ProxySocket.Adopt(descriptor, isV6: false);
            if (socket.TryReadKind(out int type, out bool isV6))
                _sockets.Add((type, socket.LocalAddress(), ProxySocket.Adopt(descriptor, isV6)));
            else
                socket.Dispose();
        }
    }

    public int Count => _sockets.Count;

    /// <summary>Where they listen; 0 without any.</summary>
    public ushort Port => _sockets.Count > 0 ? _sockets[0].Address.Port : (ushort)0;

    /// <summary>One of the type at the address, which is the caller's from now on; null if there is none.</summary>
    public ProxySocket? TryTake(int type, SocketAddress address)
    {
        int at = _sockets.FindIndex(s => s.Type == type && s.Address == address);
        if (at < 0)
            return null;
        ProxySocket socket = _sockets[at].Socket;
        _sockets.RemoveAt(at);
        return socket;
    }

    public void Dispose()
    {
        _sockets.ForEach(s => s.Socket.Dispose());
        _sockets.Clear();
    }
}
