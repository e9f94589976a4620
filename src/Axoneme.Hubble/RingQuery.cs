// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc;
using Axoneme.Hubble.Api;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Hubble;

/// <summary>Which part of the ring a client asked for. Number 0 is all; times are nanoseconds since 1970, both inclusive.</summary>
internal readonly record struct RingRange(ulong Number, bool IsFirst, bool IsFollow, long? SinceNs, long? UntilNs)
{
    public static RingRange Of(ulong number, bool isFirst, bool isFollow, Timestamp? since, Timestamp? until)
    {
        if (isFirst && isFollow)
            throw new GrpcException(GrpcStatus.InvalidArgument, "first cannot be specified with follow");
        return new RingRange(
            number == ulong.MaxValue ? 0 : number, isFirst, isFollow,
            since is null ? null : FlowRenderer.ToUnixNs(since), until is null ? null : FlowRenderer.ToUnixNs(until));
    }
}

/// <summary>Turns a record into a response, or into null when the client did not ask for it.</summary>
internal delegate TResponse? RecordSelector<TResponse>(in FlowRecord record, out bool isCounted);

/// <summary>One client's walk through the ring, oldest record first.</summary>
internal sealed class RingQuery<TResponse>(
    HubbleObserver observer, RingRange range, RecordSelector<TResponse> select, Func<LostEvent, TResponse>? reportLost)
    where TResponse : class, IMessage<TResponse>
{
    private readonly FlowRing _ring = observer.Ring;
    private readonly OvertakenReader _overtaken = new(observer.Time, observer.Options.LostEventInterval);

    public async Task RunAsync(GrpcStreamWriter<TResponse> responses, GrpcServerCall call)
    {
        long end = _ring.End;
        long position = FindStart(end);
        ulong remaining = range.IsFollow || range.Number == 0 ? ulong.MaxValue : range.Number;
        while (remaining > 0)
        {
            call.Cancellation.ThrowIfCancellationRequested();
            if (position >= (range.IsFollow ? _ring.End : end))
            {
                await ReportOvertakenAsync(responses, isForced: true).ConfigureAwait(false);
                await responses.FlushAsync().ConfigureAwait(false);
                if (!range.IsFollow)
                    return;
                await _ring.WaitAsync(position, call.Cancellation).ConfigureAwait(false);
                continue;
            }

            if (!_ring.TryRead(position, out FlowRecord record))
            {
                position = _overtaken.Skip(position, _ring.Start);
                await ReportOvertakenAsync(responses, isForced: false).ConfigureAwait(false);
                continue;
            }

            position++;
            if (range.UntilNs is { } until && record.IsFlow && record.TimeNs > until)
                break;
            if (range.SinceNs is { } since && record.IsFlow && record.TimeNs < since)
                continue;
            if (select(record, out bool isCounted) is not { } response)
                continue;
            await responses.WriteAsync(response, flush: false).ConfigureAwait(false);
            if (isCounted)
                remaining--;
        }

        await ReportOvertakenAsync(responses, isForced: true).ConfigureAwait(false);
        await responses.FlushAsync().ConfigureAwait(false);
    }

    private long FindStart(long end)
    {
        long start = _ring.Start;
        if (range.IsFirst && range.SinceNs is null)
            return start;
        if (range.IsFollow && range.Number == 0 && range.SinceNs is null)
            return Math.Max(start, end - 1);
        ulong found = 0;
        for (long number = end - 1; number >= start; number--)
        {
            // Overwritten while we look: everything older is gone as well.
            if (!_ring.TryRead(number, out FlowRecord record))
                return number + 1;
            if (range.SinceNs is { } since)
            {
                if (record.TimeNs < since && select(record, out bool isOld) is not null && isOld)
                    return number + 1;
            }
            else if (range.Number > 0 && select(record, out bool isCounted) is not null && isCounted && ++found == range.Number)
            {
                return number;
            }
        }

        return start;
    }

    private async ValueTask ReportOvertakenAsync(GrpcStreamWriter<TResponse> responses, bool isForced)
    {
        if (reportLost is not null && _overtaken.TryTake(isForced) is { } lost)
            await responses.WriteAsync(reportLost(lost), flush: false).ConfigureAwait(false);
    }
}

/// <summary>Counts the records that a slow reader never saw, and gathers them into one report per interval.</summary>
internal sealed class OvertakenReader(TimeProvider time, TimeSpan interval)
{
    private ulong _count;
    private DateTimeOffset _first;
    private DateTimeOffset _last;
    private long? _reportedAt;

    /// <summary>Where to go on from.</summary>
    public long Skip(long position, long start)
    {
        // The slot may be in the middle of being overwritten, with the start of the ring not moved yet.
        long next = Math.Max(start, position + 1);
        _last = time.GetUtcNow();
        if (_count == 0)
            _first = _last;
        _count += (ulong)(next - position);
        return next;
    }

    public LostEvent? TryTake(bool isForced)
    {
        if (_count == 0 || (!isForced && _reportedAt is { } at && time.GetElapsedTime(at) < interval))
            return null;
        var lost = new LostEvent
        {
            Source = LostEventSource.HubbleRingBuffer,
            NumEventsLost = _count,
            First = Timestamp.FromDateTimeOffset(_first),
            Last = Timestamp.FromDateTimeOffset(_last),
        };
        _count = 0;
        _reportedAt = time.GetTimestamp();
        return lost;
    }
}
