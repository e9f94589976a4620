// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Agent.Endpoints;

/// <summary>Endpoint numbers of this node, 1 to 65535. The search goes round, so a number rests before it is used again.</summary>
internal sealed class EndpointIds
{
    private readonly Lock _gate = new();
    private readonly HashSet<ushort> _used = [];
    private ushort _last;

    public ushort Allocate()
    {
        lock (_gate)
        {
            if (_used.Count == ushort.MaxValue)
                throw new InvalidOperationException($"all {ushort.MaxValue} endpoint ids of the node are in use");
            do
            {
                _last = _last == ushort.MaxValue ? (ushort)1 : (ushort)(_last + 1);
            }
            while (!_used.Add(_last));
            return _last;
        }
    }

    public void Restore(ushort id)
    {
        lock (_gate)
        {
            _used.Add(id);
            _last = Math.Max(_last, id);
        }
    }

    public void Release(ushort id)
    {
        lock (_gate)
            _used.Remove(id);
    }
}
