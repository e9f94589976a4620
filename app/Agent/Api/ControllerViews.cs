// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Hosting;

namespace Axoneme.Agent.Api;

/// <summary>The agent's loops and reconcilers in the words of the status page.</summary>
internal sealed class ControllerViews(ApiSources sources)
{
    // The name of a reconciler's loop among the modules.
    private const string ReconcilerPrefix = "reconcile-";

    // A message is read by people: of thousands of failing objects the first few tell the cause.
    private const int ShownFailures = 3;

    /// <summary>Reconcilers and every other loop.</summary>
    public IReadOnlyList<ControllerStatus> All()
    {
        List<ControllerStatus> controllers = [.. Reconcilers()];
        HashSet<string> known = [.. controllers.Select(controller => controller.Name)];
        controllers.AddRange(sources.Modules.States.Where(state => !known.Contains(state.Name)).Select(Module));
        return [.. controllers.OrderBy(controller => controller.Name, StringComparer.Ordinal)];
    }

    /// <summary>A reconciler fails while one of its objects cannot be written, or its loop does not run.</summary>
    public IReadOnlyList<ControllerStatus> Reconcilers()
    {
        Dictionary<string, ModuleState> modules = sources.Modules.States.ToDictionary(state => state.Name);
        return
        [
            .. (sources.Running?.Reconcilers() ?? []).Select(view =>
            {
                string name = ReconcilerPrefix + view.Name;
                IReadOnlyList<(string Key, string Message)> failing = view.Failing();
                ModuleState? loop = modules.GetValueOrDefault(name);
                if (failing.Count == 0)
                    return loop is null ? new ControllerStatus(name, new ControllerRun()) : Module(loop);
                return new ControllerStatus(name, new ControllerRun
                {
                    FailureCount = failing.Count,
                    ConsecutiveFailureCount = failing.Count,
                    LastFailureMsg = Text(failing),
                });
            }),
        ];
    }

    public IReadOnlyList<ModuleHealth> Modules()
    {
        Dictionary<string, ReconcilerView> views = (sources.Running?.Reconcilers() ?? []).ToDictionary(view => ReconcilerPrefix + view.Name);
        List<ModuleHealth> modules = [.. sources.Modules.States.Select(state => Health(state, views.GetValueOrDefault(state.Name)))];
        modules.Add(sources.ConfigWarnings.Count == 0
            ? new ModuleHealth("configuration", "OK")
            : new ModuleHealth("configuration", "Degraded", string.Join("; ", sources.ConfigWarnings)));
        return modules;
    }

    private static ModuleHealth Health(ModuleState state, ReconcilerView? view)
    {
        if (!state.IsHealthy)
            return new ModuleHealth(state.Name, "Degraded", state.Message, state.Since);
        if (view?.Failing() is { Count: > 0 } failing)
            return new ModuleHealth(state.Name, "Degraded", Text(failing), state.Since);
        string repaired = view?.Repaired() is > 0 and long count ? $", {count} repaired" : "";
        return new ModuleHealth(state.Name, "OK", state.Message + repaired, state.Since);
    }

    private static ControllerStatus Module(ModuleState state) => new(state.Name, state.IsHealthy
        ? new ControllerRun { SuccessCount = 1, LastSuccessTimestamp = state.Since }
        : new ControllerRun { FailureCount = 1, ConsecutiveFailureCount = 1, LastFailureMsg = state.Message, LastFailureTimestamp = state.Since });

    private static string Text(IReadOnlyList<(string Key, string Message)> failing)
    {
        string shown = string.Join("; ", failing.Take(ShownFailures).Select(failure => $"{failure.Key}: {failure.Message}"));
        return failing.Count > ShownFailures ? $"{shown}; and {failing.Count - ShownFailures} more" : shown;
    }
}
