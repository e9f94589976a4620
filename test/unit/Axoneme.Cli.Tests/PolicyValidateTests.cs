// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Cilium;

namespace Axoneme.Cli.Tests;

public sealed class PolicyValidateTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory().FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private async Task<(int Code, string[] Lines, string Errors)> ValidateAsync(string yaml)
    {
        string file = Path.Combine(_directory, "p.yaml");
        await File.WriteAllTextAsync(file, yaml, TestContext.Current.CancellationToken);
        var output = new StringWriter();
        var errors = new StringWriter();
        int code = await CiliumCommand.RunAsync(["policy", "validate", file], output, errors, TestContext.Current.CancellationToken);
        string text = output.ToString().Replace(file, "p.yaml", StringComparison.Ordinal);
        return (code, text.Split('\n', StringSplitOptions.RemoveEmptyEntries), errors.ToString());
    }

    [Fact]
    public async Task Every_document_is_judged_and_wrong_fields_are_named()
    {
        (int code, string[] lines, _) = await ValidateAsync(
            """
            kind: CiliumNetworkPolicy
            metadata: {name: a, namespace: b}
            spec:
              endpointSelector: {}
              ingress:
              - fromEntities: [moon]
            ---
            kind: ClusterNetworkPolicy
            metadata: {name: t}
            spec: {tier: Admin, priority: 3, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}
            ---
            kind: Service
            metadata: {name: s}
            """);
        Assert.Equal(1, code);
        Assert.Equal(
            [
                "p.yaml:1: CiliumNetworkPolicy b/a: invalid", "  spec.ingress[0].fromEntities[0]: 'moon' is no entity",
                "p.yaml:8: ClusterNetworkPolicy t: valid", "p.yaml:12: is no policy",
            ],
            lines);
    }

    [Fact]
    public async Task Valid_policies_end_with_success_and_their_warnings()
    {
        (int code, string[] lines, _) = await ValidateAsync(
            "{kind: CiliumNetworkPolicy, metadata: {name: a, namespace: b}, spec: {endpointSelector: {}, egress: [{toEntities: [host], toMoon: 1}]}}");
        Assert.Equal(0, code);
        Assert.Equal(
            [
                "p.yaml:1: CiliumNetworkPolicy b/a: valid",
                "  spec.egress[0].toMoon: is no field that this version knows; the entry allows nothing",
            ],
            lines);
    }

    [Fact]
    public async Task File_that_cannot_be_read_is_named()
    {
        var errors = new StringWriter();
        Assert.Equal(1, await CiliumCommand.RunAsync(["policy", "validate", "/nonexistent"], new StringWriter(), errors, TestContext.Current.CancellationToken));
        Assert.Contains("/nonexistent", errors.ToString(), StringComparison.Ordinal);
    }
}
