// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.LoadBalancing.Tests;

public sealed class MaglevTests
{
    private static readonly int[] Sizes = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071];

    private readonly MaglevTable _table = new(Convert.FromBase64String("JLfvgnHc2kaSUFaI"));

    [Fact]
    public void Leaving_backend_moves_hardly_more_than_its_own_slots_in_tables_of_all_sizes()
    {
        double worst = 0;
        double sum = 0;
        foreach (int size in Sizes)
        {
            // As many backends as the table is meant for, which is when slots move most, and a tenth of them.
            double many = MeanOfMovedNeedlessly(size, size / 100);
            double few = MeanOfMovedNeedlessly(size, Math.Max(2, size / 1000));
            TestContext.Current.TestOutputHelper!.WriteLine($"{size} slots: {many:P2} move needlessly of {size / 100} backends, {few:P2} of {Math.Max(2, size / 1000)}");
            Assert.InRange(few, 0, 0.01);
            worst = Math.Max(worst, many);
            sum += many;
        }

        Assert.InRange(sum / Sizes.Length, 0, 0.01);
        Assert.InRange(worst, 0, 0.015);
    }

    [Fact]
    public void Backends_get_within_2_percent_of_their_even_share_in_tables_of_all_sizes()
    {
        foreach (int size in Sizes)
        {
            foreach (int count in new[] { 2, 3, size / 250, size / 100 }.Where(c => c > 1 && c <= size / 100).Distinct())
            {
                int[] loads = Loads(Fill(Backends(7, count), size), count);
                double even = (double)size / count;
                Assert.InRange(loads.Min(), Math.Floor(even * 0.98), even);
                Assert.InRange(loads.Max(), even, Math.Ceiling(even * 1.02));
            }
        }
    }

    [Fact]
    public void Order_of_the_backends_does_not_matter()
    {
        MaglevBackend[] backends = Backends(1, 20);
        ushort[] table = Fill(backends, 2039);
        MaglevBackend[] turned = [.. backends.Reverse()];
        Assert.Equal(table.Select(i => backends[i].Address), Fill(turned, 2039).Select(i => turned[i].Address));
    }

    [Fact]
    public void Another_seed_makes_another_table()
    {
        MaglevBackend[] backends = Backends(1, 20);
        ushort[] other = new ushort[2039];
        new MaglevTable(new byte[MaglevTable.SeedBytes]).Fill(backends, other);
        Assert.InRange(other.Zip(Fill(backends, 2039)).Count(p => p.First == p.Second), 0, 300);
    }

    [Fact]
    public void Weights_are_kept_to_and_zero_gets_nothing()
    {
        MaglevBackend[] backends = [.. Backends(1, 5).Select((b, i) => b with { Weight = (ushort)(100 * i) })];
        int[] loads = Loads(Fill(backends, 16381), 5);
        Assert.Equal(0, loads[0]);
        for (int i = 1; i < 5; i++)
            Assert.InRange(loads[i] / (16381 * i / 10.0), 0.98, 1.02);
        MaglevBackend[] none = [.. backends.Select(b => b with { Weight = 0 })];
        Assert.All(Loads(Fill(none, 251), 5), load => Assert.InRange(load, 48, 52));
    }

    [Theory]
    [InlineData(1, 251)]
    [InlineData(300, 251)]
    [InlineData(5000, 509)]
    public void Table_is_full_whatever_the_number_of_backends(int count, int size)
    {
        int[] loads = Loads(Fill(Backends(3, count), size), count);
        Assert.Equal(size, loads.Sum());
        Assert.InRange(loads.Max(), size / count, (size / count) + 1 + (size / count / 50));
    }

    [Fact]
    public void Weight_above_all_others_leaves_them_their_slot_or_none()
    {
        MaglevBackend[] backends = Backends(5, 3);
        backends[1] = backends[1] with { Weight = ushort.MaxValue };
        backends[2] = backends[2] with { Weight = 1 };
        int[] loads = Loads(Fill(backends, 1021), 3);
        Assert.InRange(loads[1], 1000, 1021);
        Assert.Equal(1021, loads.Sum());
    }

    [Fact]
    public void Table_of_a_seed_is_the_same_for_ever()
    {
        // Nodes of several versions serve one address during an upgrade.
        ushort[] table = Fill(Backends(1, 7), 251);
        ulong sum = 14695981039346656037;
        foreach (ushort winner in table)
            sum = (sum ^ winner) * 1099511628211;
        Assert.Equal(4735876164197779690UL, sum);
    }

    private double MeanOfMovedNeedlessly(int size, int count)
    {
        const int Departures = 4;
        double moved = 0;
        int sets = size < 5_000 ? 8 : 1;
        for (int set = 0; set < sets; set++)
        {
            MaglevBackend[] backends = Backends(set, count);
            ushort[] before = Fill(backends, size);
            for (int i = 0; i < Departures; i++)
            {
                int gone = i * count / Departures;
                MaglevBackend[] rest = [.. backends.Where((_, index) => index != gone)];
                ushort[] after = Fill(rest, size);
                for (int slot = 0; slot < size; slot++)
                {
                    if (before[slot] != gone && backends[before[slot]] != rest[after[slot]])
                        moved++;
                }
            }
        }

        return moved / sets / Departures / size;
    }

    private ushort[] Fill(MaglevBackend[] backends, int size)
    {
        ushort[] slots = new ushort[size];
        _table.Fill(backends, slots);
        return slots;
    }

    private static int[] Loads(ushort[] table, int count)
    {
        int[] loads = new int[count];
        foreach (ushort winner in table)
            loads[winner]++;
        return loads;
    }

    private static MaglevBackend[] Backends(int set, int count)
        => [.. Enumerable.Range(0, count).Select(i => new MaglevBackend(
            new L4Address(IpAddress.FromV4((uint)((10 << 24) + (set << 16) + i)), 8080, L4Protocol.Tcp)))];
}
