// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.ScenarioTests;

/// <summary>What a lab makes is gone after it, whether it was asked to go or killed.</summary>
[Collection(LeakCollection.Name)]
public sealed class LeakTests
{
    private const string Name = "test-leak";
    private static readonly string Root = $"{LabCluster.Root}-{Name}";

    private static readonly string Lab = Path.Combine(LabCluster.Artifacts, "lab", "axoneme-lab");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_lab_leaves_nothing_behind(bool crash)
    {
        string[] links = RootLinks();
        string[] namespaces = Names("/run/netns");
        HashSet<string> maps;
        int[] processes;
        try
        {
            (await LabAsync("up", "--nodes", "2")).Require();
            processes = [.. Processes()];
            maps = MapsOf(processes);
            Assert.True(processes.Length > 10 && maps.Count > 20, $"{processes.Length} processes, {maps.Count} maps");
            if (crash)
            {
                string supervisor = await File.ReadAllTextAsync(Path.Combine(Root, "supervisor.pid"));
                (await Command.RunAsync("kill", ["-9", supervisor.Trim()])).Require();
            }
        }
        finally
        {
            (await LabAsync("down")).Require();
        }

        Assert.False(Directory.Exists(Root), Root);
        Assert.False(Directory.Exists(CgroupFolder()), CgroupFolder());
        Assert.DoesNotContain(File.ReadLines("/proc/self/mountinfo"), m => m.Contains(Root));
        Assert.Empty(Names("/run/netns").Except(namespaces));
        await Eventually.IsAsync("init reaps the processes", () => Task.FromResult(string.Join(' ', processes.Where(IsOfLab))), left => left.Length == 0);
        // Programs hold their maps, so these are gone only when programs and links are. The kernel frees them a moment later.
        await Eventually.IsAsync("the kernel's maps are freed", async () =>
        {
            string present = (await Command.RunAsync("bpftool", ["map", "show"])).Require();
            return string.Join(' ', present.Split('\n').Select(l => l.Split(':')[0]).Where(maps.Contains));
        }, left => left.Length == 0);
        await Eventually.IsAsync("no new links", () => Task.FromResult(string.Join(' ', RootLinks().Except(links))), left => left.Length == 0);
    }

    [Fact]
    public async Task A_lab_whose_manifest_is_broken_says_which_and_can_be_taken_down()
    {
        string folder = Directory.CreateTempSubdirectory("axoneme-lab-test-").FullName;
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "wrong.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: wrong}\nspec: {containers: 7}\n");
            CommandResult up = await LabAsync("up", "--nodes", "1", "--no-demo", "--manifests", folder);
            Assert.Equal(1, up.Status);
            Assert.Contains("manifest wrong.yaml", up.Error);
            Assert.Contains("containers", up.Error);
        }
        finally
        {
            (await LabAsync("down")).Require();
            Directory.Delete(folder, recursive: true);
        }

        Assert.False(Directory.Exists(Root), Root);
    }

    private static Task<CommandResult> LabAsync(params string[] arguments) => Command.RunAsync(Lab, ["--name", Name, .. arguments]);

    private static string CgroupFolder()
        => Path.Combine(File.ReadLines("/proc/self/mounts").Select(l => l.Split(' ')).First(f => f[2] == "cgroup2")[1], Path.GetFileName(Root));

    private static IEnumerable<int> Processes()
        => Directory.EnumerateFiles(CgroupFolder(), "cgroup.procs", SearchOption.AllDirectories).SelectMany(File.ReadLines).Select(int.Parse);

    private static HashSet<string> MapsOf(IEnumerable<int> processes)
        => [.. processes.SelectMany(p => Directory.EnumerateFiles($"/proc/{p}/fdinfo")).SelectMany(ReadLines)
            .Where(l => l.StartsWith("map_id:", StringComparison.Ordinal)).Select(l => l.Split('\t')[1])];

    // Descriptors come and go while one looks.
    private static IEnumerable<string> ReadLines(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (IOException)
        {
            return [];
        }
    }

    private static bool IsOfLab(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/cgroup").Contains($"/{Path.GetFileName(Root)}/");
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static string[] RootLinks() => Names("/sys/class/net");

    private static string[] Names(string folder)
        => Directory.Exists(folder) ? [.. Directory.EnumerateFileSystemEntries(folder).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)] : [];
}

[CollectionDefinition(Name)]
public sealed class LeakCollection
{
    public const string Name = "leaks";
}
