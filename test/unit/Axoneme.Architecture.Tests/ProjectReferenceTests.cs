// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Xml.Linq;

namespace Axoneme.Architecture.Tests;

/// <summary>The layers of ARCHITECTURE.md, held against the project files.</summary>
public sealed class ProjectReferenceTests
{
    private enum Layer
    {
        Foundation,
        Platform,
        Feature,
        TestBed,
        App,
    }

    private static readonly Dictionary<string, Layer> Layers = new()
    {
        ["Axoneme.Linux"] = Layer.Foundation,
        ["Axoneme.Network"] = Layer.Foundation,
        ["Axoneme.Dns"] = Layer.Foundation,
        ["Axoneme.DnsProxy"] = Layer.Foundation,
        ["Axoneme.Tables"] = Layer.Foundation,
        ["Axoneme.Grpc"] = Layer.Foundation,
        ["Axoneme.Bpf"] = Layer.Foundation,
        ["Axoneme.Netlink"] = Layer.Foundation,
        ["Axoneme.Metrics"] = Layer.Foundation,
        ["Axoneme.Hosting"] = Layer.Foundation,
        ["Axoneme.Cni"] = Layer.Foundation,
        ["Axoneme.Datapath.Abi"] = Layer.Foundation,
        ["Axoneme.AgentApi"] = Layer.Platform,
        ["Axoneme.Datapath"] = Layer.Platform,
        ["Axoneme.Kubernetes"] = Layer.Platform,
        ["Axoneme.Policy"] = Layer.Feature,
        ["Axoneme.LoadBalancing"] = Layer.Feature,
        ["Axoneme.Ipam"] = Layer.Feature,
        ["Axoneme.Hubble"] = Layer.Feature,
        ["Axoneme.EmbeddedApi"] = Layer.TestBed,
    };

    // Features are pure: whoever needs one of these does I/O.
    private static readonly string[] ClosedToFeatures = ["Axoneme.Linux", "Axoneme.Bpf", "Axoneme.Netlink", "Axoneme.Datapath", "Axoneme.Cni", "Axoneme.DnsProxy"];

    public static TheoryData<string> Libraries() => [.. ProjectsIn("src").Select(p => p.Name)];

    [Theory]
    [MemberData(nameof(Libraries))]
    public void A_library_refers_only_to_its_own_layer_or_lower_ones(string name)
    {
        Assert.True(Layers.TryGetValue(name, out Layer own), $"{name} has no layer yet: say where it belongs, here and in ARCHITECTURE.md");
        foreach (string reference in ReferencesOf(name))
            Assert.True(Layers[reference] <= own, $"{name} ({own}) refers to {reference} ({Layers[reference]})");
    }

    [Fact]
    public void Features_know_neither_the_kernel_nor_each_other()
    {
        foreach ((string feature, _) in Layers.Where(l => l.Value == Layer.Feature))
        {
            foreach (string reference in ReferencesOf(feature))
            {
                Assert.DoesNotContain(reference, ClosedToFeatures);
                Assert.NotEqual(Layer.Feature, Layers[reference]);
            }
        }
    }

    [Fact]
    public void The_agent_cannot_tell_the_labs_api_from_a_real_one()
    {
        XDocument agent = XDocument.Load(Path.Combine(Root(), "app", "Agent", "Agent.csproj"));
        Assert.DoesNotContain("Axoneme.EmbeddedApi", Names(agent));
    }

    [Fact]
    public void The_plugin_stays_small()
    {
        XDocument plugin = XDocument.Load(Path.Combine(Root(), "app", "CniPlugin", "CniPlugin.csproj"));
        Assert.Equal(["Axoneme.Cni"], Names(plugin));
    }

    private static IEnumerable<string> ReferencesOf(string library)
        => Names(XDocument.Load(ProjectsIn("src").First(p => p.Name == library).File));

    private static IEnumerable<string> Names(XDocument project)
        => project.Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value));

    private static IEnumerable<(string Name, string File)> ProjectsIn(string folder)
        => Directory.EnumerateFiles(Path.Combine(Root(), folder), "*.csproj", SearchOption.AllDirectories)
            .Select(file => (Path.GetFileNameWithoutExtension(file), file));

    private static string Root([CallerFilePath] string here = "")
        => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", ".."));
}
