// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab;

/// <summary>The steps of a start, for whoever asks, from the first one on.</summary>
internal sealed class StartProgress
{
    private readonly Lock _lock = new();
    private readonly List<string> _steps = [];
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _failure;

    public bool IsFinished { get; private set; }

    public void Step(string text) => Change(() => _steps.Add(text));

    /// <param name="failure">Null when everything is up.</param>
    public void Finish(string? failure) => Change(() => (IsFinished, _failure) = (true, failure));

    /// <summary>Hands on every step until the end; returns the failure or null.</summary>
    public async Task<string?> FollowAsync(Func<string, Task> step)
    {
        for (int next = 0; ;)
        {
            Task changed;
            string? text = null;
            lock (_lock)
            {
                changed = _changed.Task;
                if (next < _steps.Count)
                    text = _steps[next++];
                else if (IsFinished)
                    return _failure;
            }

            if (text is not null)
                await step(text);
            else
                await changed;
        }
    }

    private void Change(Action change)
    {
        lock (_lock)
        {
            change();
            _changed.SetResult();
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }
}
