// SPDX-License-Identifier: Apache-2.0
using Axoneme.Proxy.Serving;

namespace Axoneme.Proxy.Tests;

/// <summary>Answers that wait for an acknowledgement go out once: with it, or when they have waited long enough.</summary>
public sealed class HeldAnswersTests
{
    private readonly List<byte> _released = [];
    private readonly HeldAnswers _held;

    public HeldAnswersTests() => _held = new HeldAnswers(answer => _released.Add(answer.Message[0]));

    private void Hold(long id, byte message, long since) => _held.Add(id, new HeldAnswer(default, default, null, [message], since));

    [Fact]
    public void Acknowledgement_releases_all_that_wait_for_it_and_no_others()
    {
        Hold(1, 10, since: 100);
        Hold(2, 20, since: 101);
        Hold(1, 11, since: 102);
        _held.Release(1);
        _held.Release(1);
        Assert.Equal([10, 11], _released);
        Assert.False(_held.IsEmpty);
        _held.ReleaseAll();
        Assert.Equal([10, 11, 20], _released);
        Assert.True(_held.IsEmpty);
    }

    [Fact]
    public void What_nobody_acknowledges_goes_out_when_its_time_is_over()
    {
        Hold(1, 10, since: 100);
        Hold(2, 20, since: 110);
        Hold(3, 30, since: 120);
        _held.Release(2);
        Assert.Equal(0, _held.ReleaseOlder(99));
        Assert.Equal(1, _held.ReleaseOlder(110));
        Assert.Equal([20, 10], _released);
        Assert.Equal(1, _held.ReleaseOlder(120));
        Assert.Equal([20, 10, 30], _released);
        Assert.True(_held.IsEmpty);
    }
}
