// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Datapath;

/// <summary>
/// The numbers of services: keys of the reverse NAT, source range and Maglev maps. Connections carry them, so a number that became free is the
/// last to be used again. Not thread-safe.
/// </summary>
internal sealed class ServiceNumbers
{
    private readonly bool[] _used = new bool[ushort.MaxValue + 1];
    private int _count;
    private ushort _last;

    /// <summary>A number from 1, or 0 when all are taken.</summary>
    public ushort Take()
    {
        if (_count == ushort.MaxValue)
            return 0;
        do
            _last = _last == ushort.MaxValue ? (ushort)1 : (ushort)(_last + 1);
        while (_used[_last]);
        _used[_last] = true;
        _count++;
        return _last;
    }

    /// <summary>Takes a number that an earlier run gave away; false when it is taken already, or none.</summary>
    public bool Restore(ushort number)
    {
        if (number == 0 || _used[number])
            return false;
        _used[number] = true;
        _count++;
        _last = Math.Max(_last, number);
        return true;
    }

    public void Release(ushort number)
    {
        if (number == 0 || !_used[number])
            return;
        _used[number] = false;
        _count--;
    }
}
