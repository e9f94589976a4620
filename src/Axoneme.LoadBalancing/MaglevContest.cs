// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.LoadBalancing;

/// <summary>One backend on its way through the slots.</summary>
internal struct MaglevRunner
{
    public int Offset;
    public int Stride;

    /// <summary>Between 0 and 1: what it is ahead by at the start, so that no two are at their n-th slot at one time.</summary>
    public float Head;
    public ulong Hash;

    /// <summary>Slots that it should get.</summary>
    public double Share;

    /// <summary>Time that it takes for a slot.</summary>
    public double Price;
    public int Load;
}

/// <summary>
/// Who gets which slot: the runner that is there first. Arithmetic is that of IEEE doubles without functions that libraries may round
/// differently, so that every machine finds the same winners.
/// </summary>
internal sealed class MaglevContest
{
    // How far from its share a backend's load may be.
    private const double Tolerance = 0.02;

    // A runner is followed for this many times its share. So many shares on, all but 6 of a million slots are taken.
    private const int Reach = 12;

    // Also a runner with a tiny share needs some slots to look at.
    private const int ShortestRun = 64;

    // Measured: two to four adjustments a backend. The bound is for sets that cannot be made even, such as one weight above all others.
    private const int MostAdjustments = 32;

    private readonly MaglevRunner[] _runners;
    private readonly int _slots;
    private readonly int[] _lengths;

    // Those who come by a slot, one list after the other; _starts[s] is where that of slot s begins.
    private readonly int[] _starts;
    private readonly float[] _times;
    private readonly ushort[] _names;

    private readonly double[] _ratios;

    public MaglevContest(MaglevRunner[] runners, int slots)
    {
        _runners = runners;
        _slots = slots;
        _lengths = new int[runners.Length];
        int longest = 0;
        for (int i = 0; i < runners.Length; i++)
        {
            _lengths[i] = (int)Math.Min(slots, Math.Max(ShortestRun, Reach * runners[i].Share));
            longest = Math.Max(longest, _lengths[i]);
        }

        _starts = CountVisits();
        _times = new float[_starts[slots]];
        _names = new ushort[_starts[slots]];
        _ratios = new double[longest];
        Winners = new int[slots];
        NoteVisits();
    }

    /// <summary>Index of the runner by slot.</summary>
    public int[] Winners { get; }

    public void Run()
    {
        for (int slot = 0; slot < _slots; slot++)
        {
            Winners[slot] = Winner(slot);
            _runners[Winners[slot]].Load++;
        }

        for (int i = 0; i < MostAdjustments * _runners.Length; i++)
        {
            if (MostUneven() is not { } runner)
                return;
            Adjust(runner);
        }
    }

    private int[] CountVisits()
    {
        int[] starts = new int[_slots + 1];
        for (int i = 0; i < _runners.Length; i++)
        {
            int slot = _runners[i].Offset;
            for (int step = 0; step < _lengths[i]; step++, slot = Next(slot, _runners[i].Stride))
                starts[slot + 1]++;
        }

        for (int slot = 0; slot < _slots; slot++)
            starts[slot + 1] += starts[slot];
        return starts;
    }

    private void NoteVisits()
    {
        int[] ends = _starts.AsSpan(0, _slots).ToArray();
        for (int i = 0; i < _runners.Length; i++)
        {
            int slot = _runners[i].Offset;
            for (int step = 0; step < _lengths[i]; step++, slot = Next(slot, _runners[i].Stride))
            {
                int at = ends[slot]++;
                _times[at] = step + _runners[i].Head;
                _names[at] = (ushort)i;
            }
        }
    }

    private int Next(int slot, int stride)
    {
        slot += stride;
        return slot >= _slots ? slot - _slots : slot;
    }

    private int Winner(int slot)
    {
        int winner = -1;
        double best = double.PositiveInfinity;
        for (int i = _starts[slot]; i < _starts[slot + 1]; i++)
        {
            double time = _times[i] * _runners[_names[i]].Price;
            if (time < best)
                (best, winner) = (time, _names[i]);
        }

        return winner >= 0 ? winner : Drawn(slot);
    }

    // Nobody comes by: by lot, and so that one who leaves changes nothing for the others.
    private int Drawn(int slot)
    {
        int winner = 0;
        ulong best = 0;
        for (int i = 0; i < _runners.Length; i++)
        {
            ulong lot = MaglevTable.Scramble(_runners[i].Hash ^ (ulong)slot);
            if (i == 0 || lot < best)
                (best, winner) = (lot, i);
        }

        return winner;
    }

    private int? MostUneven()
    {
        int? worst = null;
        int most = 0;
        for (int i = 0; i < _runners.Length; i++)
        {
            int excess = Math.Abs(Excess(in _runners[i]));
            if (excess > most)
                (most, worst) = (excess, i);
        }

        return worst;
    }

    /// <summary>Slots above what is tolerated, or below if negative.</summary>
    private static int Excess(in MaglevRunner runner)
    {
        int most = Math.Max((int)(runner.Share * (1 + Tolerance)), (int)Math.Ceiling(runner.Share));
        int least = Math.Min((int)Math.Ceiling(runner.Share * (1 - Tolerance)), (int)runner.Share);
        return runner.Load > most ? runner.Load - most : runner.Load < least ? runner.Load - least : 0;
    }

    /// <summary>Changes the runner's price by just as much as it takes to bring its load to the edge of what is tolerated.</summary>
    private void Adjust(int runner)
    {
        int excess = Excess(in _runners[runner]);
        bool loses = excess > 0;
        int count = CollectRatios(runner, loses);
        if (count == 0)
        {
            // It wins what nobody else comes by, or comes by nothing: its load is what it can be.
            _runners[runner].Price *= loses ? 2 : 0.5;
            return;
        }

        Span<double> ratios = _ratios.AsSpan(0, count);
        ratios.Sort();
        int moved = Math.Min(Math.Abs(excess), count);
        // Between the last slot that changes hands and the first that does not.
        double last = loses ? ratios[moved - 1] : ratios[count - moved];
        double factor = moved == count ? last * (loses ? 1.0001 : 0.9999)
            : Math.Sqrt(last * (loses ? ratios[moved] : ratios[count - moved - 1]));
        _runners[runner].Price *= factor;
        Reassign(runner, loses);
    }

    // By how much the runner's price would have to change at each slot that it has (or has not) for the slot to change hands.
    private int CollectRatios(int runner, bool wins)
    {
        int count = 0;
        int slot = _runners[runner].Offset;
        for (int step = 0; step < _lengths[runner]; step++, slot = Next(slot, _runners[runner].Stride))
        {
            if ((Winners[slot] == runner) != wins)
                continue;
            double own = (step + _runners[runner].Head) * _runners[runner].Price;
            double other = double.PositiveInfinity;
            for (int i = _starts[slot]; i < _starts[slot + 1]; i++)
            {
                if (_names[i] != runner)
                    other = Math.Min(other, _times[i] * _runners[_names[i]].Price);
            }

            if (other < double.PositiveInfinity)
                _ratios[count++] = other / own;
        }

        return count;
    }

    private void Reassign(int runner, bool loses)
    {
        int slot = _runners[runner].Offset;
        for (int step = 0; step < _lengths[runner]; step++, slot = Next(slot, _runners[runner].Stride))
        {
            if ((Winners[slot] == runner) != loses)
                continue;
            int winner = Winner(slot);
            if (winner == Winners[slot])
                continue;
            _runners[Winners[slot]].Load--;
            _runners[winner].Load++;
            Winners[slot] = winner;
        }
    }
}
