// SPDX-License-Identifier: Apache-2.0
using FsCheck;
using FsCheck.Fluent;

namespace Axoneme.Tables.Tests;

/// <summary>A value with a small key space, so that random operations meet.</summary>
public sealed record Item(int Id, string Color, int Size)
{
    public static readonly TableIndex<int, Item, string> ByColor = new("color", i => i.Color);

    /// <summary>Several keys a value, or none.</summary>
    public static readonly TableIndex<int, Item, int> ByDivisor = new("divisor", i => Divisors(i.Size));

    public static Table<int, Item> NewTable(string name = "items") => new(name, i => i.Id, [ByColor, ByDivisor]);

    public static IEnumerable<int> Divisors(int size) => Enumerable.Range(2, 4).Where(d => size > 0 && size % d == 0);
}

public abstract record Step
{
    public sealed record Upsert(Item Item) : Step;

    public sealed record Remove(int Id) : Step;

    public sealed record Replace(Item[] Items) : Step;

    /// <summary>Readers read now.</summary>
    public sealed record Read : Step;

    public static Gen<Item> AnyItem { get; } =
        from id in Gen.Choose(0, 7)
        from color in Gen.Elements("red", "green", "blue")
        from size in Gen.Choose(0, 12)
        select new Item(id, color, size);

    /// <summary>Transactions of some steps each.</summary>
    public static Arbitrary<Step[][]> Transactions { get; } = Gen.Frequency(
            (6, AnyItem.Select(i => (Step)new Upsert(i))),
            (3, Gen.Choose(0, 7).Select(id => (Step)new Remove(id))),
            (1, AnyItem.ArrayOf().Select(items => (Step)new Replace(items))),
            (2, Gen.Constant((Step)new Read())))
        .ArrayOf().ArrayOf().ToArbitrary();

    public void Do(TableWriter<int, Item> writer)
    {
        switch (this)
        {
            case Upsert upsert:
                writer.Upsert(upsert.Item);
                break;
            case Remove remove:
                writer.Remove(remove.Id);
                break;
            case Replace replace:
                writer.ReplaceAll(replace.Items);
                break;
        }
    }

    public void Do(Dictionary<int, Item> model)
    {
        switch (this)
        {
            case Upsert upsert:
                model[upsert.Item.Id] = upsert.Item;
                break;
            case Remove remove:
                model.Remove(remove.Id);
                break;
            case Replace replace:
                model.Clear();
                foreach (Item item in replace.Items)
                    model[item.Id] = item;
                break;
        }
    }
}
