// SPDX-License-Identifier: Apache-2.0
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Cli.Hubble;

/// <summary>Which events: how many, from which end, since and until when, and whether to go on.</summary>
internal sealed class RangeFlags(TimeProvider time)
{
    public const ulong DefaultNumber = 20;

    private string? _since;
    private string? _until;

    public ulong? Last { get; private set; }

    public ulong? First { get; private set; }

    public bool All { get; private set; }

    public bool Follow { get; private set; }

    public Timestamp? Since => Time(_since, "since");

    public Timestamp? Until => Time(_until, "until");

    /// <summary>True when the command line bounds the events by time or from the start.</summary>
    public bool IsBounded => _since is not null || _until is not null || First is not null;

    public void AddTo(FlagSet flags)
        => flags.Number("last", v => Last = v, $"the most recent N ({DefaultNumber} unless another range is given)")
            .Number("first", v => First = v, "the oldest N")
            .Switch("all", v => All = v, "all that the server has")
            .Switch("follow", v => Follow = v, "go on as they happen", 'f')
            .Value("since", v => _since = v, "TIME", "only after: 90s, 1h30m, or a date and time")
            .Value("until", v => _until = v, "TIME", "only before");

    /// <exception cref="UserErrorException">Flags contradict each other.</exception>
    public void Validate()
    {
        if (First is not null && Last is not null)
            throw new UserErrorException("cannot set both --first and --last");
        if (All && (First is not null || Last is not null))
            throw new UserErrorException($"cannot set both --all and --{(First is null ? "last" : "first")}");
        if (First is not null && Follow)
            throw new UserErrorException("cannot set both --first and --follow");
    }

    /// <summary>How many to ask for; 0 means that the times alone decide.</summary>
    /// <param name="isDefaulted">Whether a number applies where no flag says anything.</param>
    public ulong Number(bool isDefaulted)
        => Last ?? First ?? (IsBounded ? 0 : All ? ulong.MaxValue : isDefaulted ? DefaultNumber : 0);

    private Timestamp? Time(string? text, string flag)
    {
        if (text is null)
            return null;
        return TimeText.TryParse(text, time.GetUtcNow(), out DateTimeOffset parsed)
            ? Timestamp.FromDateTimeOffset(parsed) : throw new UserErrorException($"failed to parse the {flag} time: \"{text}\" is no duration and no time");
    }
}
