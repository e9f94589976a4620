// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Operator.Identities;

namespace Axoneme.Operator.Tests;

public sealed class IdentityGarbageTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(30);
    private readonly IdentityGarbage _garbage = new(Timeout);

    [Fact]
    public void An_unused_identity_is_marked_after_the_timeout_and_goes_at_a_later_pass()
    {
        CiliumIdentity identity = Identity(1000, "web");
        Assert.Equal("mark , keep , delete ", Pass(0, [identity]));
        Assert.Equal("mark , keep , delete ", Pass(29, [identity]));
        Assert.Equal("mark 1000, keep , delete ", Pass(30, [identity]));
        Assert.Equal("mark , keep , delete 1000", Pass(31, [Marked(identity)]));
    }

    [Fact]
    public void One_that_is_used_again_loses_its_mark_and_is_waited_for_anew()
    {
        CiliumIdentity identity = Identity(1000, "web");
        Pass(0, [identity]);
        Pass(30, [identity]);
        Assert.Equal("mark , keep 1000, delete ", Pass(31, [Marked(identity)], 1000));
        Assert.Equal("mark , keep , delete ", Pass(60, [identity]));
        Assert.Equal("mark 1000, keep , delete ", Pass(61, [identity]));
    }

    [Fact]
    public void An_object_that_was_made_anew_under_the_name_is_another_one()
    {
        Pass(0, [Identity(1000, "web")]);
        CiliumIdentity anew = Identity(1000, "web", uid: "other");
        Assert.Equal("mark , keep , delete ", Pass(40, [anew]));
        Assert.Equal("mark 1000, keep , delete ", Pass(70, [anew]));
    }

    [Fact]
    public void What_the_operator_before_had_marked_is_not_waited_for_again()
        => Assert.Equal("mark , keep , delete 1000", Pass(0, [Marked(Identity(1000, "web"))]));

    [Fact]
    public void Of_equal_labels_the_smallest_number_stays_and_unused_others_do_not_wait()
    {
        CiliumIdentity[] identities = [Identity(3000, "web"), Identity(1000, "web"), Identity(2000, "web"), Identity(900, "db")];
        Assert.Equal("mark , keep , delete ", Pass(0, identities, 3000));
        Assert.Equal("mark 2000, keep , delete ", Pass(1, identities, 3000));
        Assert.Equal("mark 2000 3000, keep , delete ", Pass(2, identities));
    }

    private string Pass(int minute, CiliumIdentity[] identities, params int[] used)
    {
        IdentityPass pass = _garbage.Pass(identities, used.Select(u => $"{u}").ToHashSet(), Start.AddMinutes(minute));
        return $"mark {Names(pass.Mark)}, keep {Names(pass.Keep)}, delete {Names(pass.Delete)}";

        static string Names(IEnumerable<CiliumIdentity> some) => string.Join(' ', some.Select(i => i.Metadata.Name).Order());
    }

    private static CiliumIdentity Identity(int number, string app, string uid = "") => new()
    {
        Metadata = new ObjectMeta { Name = $"{number}", Uid = uid.Length > 0 ? uid : $"u{number}" },
        SecurityLabels = new Dictionary<string, string> { ["k8s:app"] = app },
    };

    private static CiliumIdentity Marked(CiliumIdentity identity) => identity with
    {
        Metadata = identity.Metadata with { Annotations = new Dictionary<string, string> { [IdentityGarbage.Annotation] = "2026-01-01T00:30:00Z" } },
    };
}
