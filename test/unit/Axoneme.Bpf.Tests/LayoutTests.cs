// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Axoneme.Datapath.Abi;

namespace Axoneme.Bpf.Tests;

/// <summary>
/// The way back: what C# believes about the shared types is asserted by the C compiler, against the headers themselves.
/// </summary>
public sealed class LayoutTests
{
    private static readonly Type[] AbiTypes = typeof(NetU16).Assembly.GetExportedTypes();

    [Fact]
    public void C_compiler_agrees_with_every_size_and_offset()
    {
        var source = new StringBuilder();
        var checkedTypes = new HashSet<Type>();
        foreach (Type type in AbiTypes.Where(
            type => type.GetCustomAttribute<CTypeAttribute>() is not null).OrderBy(type => type.Name))
        {
            string name = type.GetCustomAttribute<CTypeAttribute>()!.Name;
            if (type.IsEnum)
                AssertConstants(source, type);
            else
                AssertStruct(source, type, name, path: "", SizeOf(type), checkedTypes);
        }

        Assert.Equal("", Compile(source.ToString()));
        // A struct that nothing above reached would be believed without a check.
        Type[] uncovered = AbiTypes.Where(type => type is { IsValueType: true, IsEnum: false, IsExplicitLayout: true }
            && !typeof(IBpfConstants).IsAssignableFrom(type) && !checkedTypes.Contains(type)).ToArray();
        Assert.Empty(uncovered);
        Assert.True(checkedTypes.Count > 10);
    }

    [Fact]
    public void Wrong_assertion_is_noticed()
    {
        string complaints = Compile("_Static_assert(sizeof(struct ct4_key) == 17, \"\");");
        Assert.Contains("static assertion failed", complaints, StringComparison.Ordinal);
    }

    [Fact]
    public void Constants_lie_where_the_compiled_objects_have_them()
    {
        PropertyInfo[] images =
            AbiTypes.Select(type => type.GetProperty("Image", BindingFlags.Public | BindingFlags.Static))
            .OfType<PropertyInfo>().ToArray();
        foreach (PropertyInfo property in images)
        {
            var image = (BpfObjectImage)property.GetValue(null)!;
            if (image.Constants.Count == 0)
                continue;
            string name = property.DeclaringType!.FullName!.Replace("Object", "Constants", StringComparison.Ordinal);
            Type constants = typeof(NetU16).Assembly.GetType(name, throwOnError: true)!;
            // Throws where generated and compiled layouts differ.
            object value = typeof(BpfObjectImage)
                .GetMethod(nameof(BpfObjectImage.DefaultConstants))!.MakeGenericMethod(constants).Invoke(image, null)!;
            Assert.Equal(image.ConstantsSize, SizeOf(value.GetType()));
        }
    }

    private static void AssertConstants(StringBuilder source, Type type)
    {
        foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            string name = field.GetCustomAttribute<CTypeAttribute>()!.Name;
            Require(source, $"(long long){name} == {Convert.ToInt64(field.GetRawConstantValue())}LL", name);
        }
    }

    private static void AssertStruct(
        StringBuilder source, Type type, string name, string path, int size, HashSet<Type> checkedTypes)
    {
        checkedTypes.Add(type);
        if (path.Length == 0)
            Require(source, $"sizeof({name}) == {size}", $"size of {name}");
        foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Instance))
        {
            string member = path + field.GetCustomAttribute<CTypeAttribute>()!.Name;
            string value = $"((({name} *)0)->{member})";
            // Of an anonymous struct the C side knows no type: its members are asserted by their way from the outer
            // one.
            if (path.Length == 0)
            {
                int offset = field.GetCustomAttribute<FieldOffsetAttribute>()!.Value;
                Require(source, $"__builtin_offsetof({name}, {member}) == {offset}", $"offset of {name}.{member}");
            }

            Require(source, $"sizeof{value} == {SizeOf(field.FieldType)}", $"size of {name}.{member}");
            if (CNameOf(field.FieldType) is { } primitive)
            {
                string same = $"__builtin_types_compatible_p(typeof{value}, {primitive})";
                Require(source, same, $"type of {name}.{member}");
            }

            if (field.FieldType.IsExplicitLayout && field.FieldType.GetCustomAttribute<CTypeAttribute>() is null)
                AssertNested(source, field.FieldType, name, member, checkedTypes);
        }
    }

    private static void AssertNested(
        StringBuilder source, Type type, string name, string path, HashSet<Type> checkedTypes)
    {
        AssertStruct(source, type, name, path + ".", SizeOf(type), checkedTypes);
        foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Instance))
        {
            string member = $"{path}.{field.GetCustomAttribute<CTypeAttribute>()!.Name}";
            int offset = field.GetCustomAttribute<FieldOffsetAttribute>()!.Value;
            string difference = $"__builtin_offsetof({name}, {member}) - __builtin_offsetof({name}, {path})";
            Require(source, $"{difference} == {offset}", $"offset of {name}.{member}");
        }
    }

    private static void Require(StringBuilder source, string condition, string what)
        => source.AppendLine($"_Static_assert({condition}, \"{what}\");");

    private static string? CNameOf(Type type) => Type.GetTypeCode(type) switch
    {
        _ when type.IsEnum => null,
        TypeCode.Byte => "__u8",
        TypeCode.SByte => "__s8",
        TypeCode.UInt16 => "__u16",
        TypeCode.Int16 => "__s16",
        TypeCode.UInt32 => "__u32",
        TypeCode.Int32 => "__s32",
        TypeCode.UInt64 => "__u64",
        TypeCode.Int64 => "__s64",
        TypeCode.Boolean => "_Bool",
        _ when type == typeof(NetU16) => "__be16",
        _ when type == typeof(NetU32) => "__be32",
        _ when type == typeof(NetU64) => "__be64",
        _ => null,
    };

    private static int SizeOf(Type type)
        => (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;

    /// <summary>The compiler's complaints; empty when there are none.</summary>
    private static string Compile(string assertions)
    {
        string headers = string.Join('\n', Directory.GetFiles(Path.Combine(Repository.Root, "bpf/abi"), "*.h")
            .Order(StringComparer.Ordinal).Select(path => $"#include \"abi/{Path.GetFileName(path)}\""));
        string[] path = Environment.GetEnvironmentVariable("PATH")!.Split(':');
        string clang = ((string[])["clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang"])
            .First(name => path.Any(directory => File.Exists(Path.Combine(directory, name))));
        string[] includes = ["-I", Path.Combine(Repository.Root, "bpf"), "-I", MultiarchHeaders()];
        var start = new ProcessStartInfo(clang,
            ["-target", "bpf", "-x", "c", "-fsyntax-only", "-ferror-limit=0", .. includes, "-"])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        process.StandardInput.Write($"{headers}\n{assertions}");
        process.StandardInput.Close();
        string complaints = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return complaints;
    }

    private static string MultiarchHeaders()
        => RuntimeInformation.ProcessArchitecture == Architecture.X64
            ? "/usr/include/x86_64-linux-gnu"
            : "/usr/include/aarch64-linux-gnu";
}
