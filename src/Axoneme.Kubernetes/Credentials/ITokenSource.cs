// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace Axoneme.Kubernetes;

/// <summary>Where the bearer token comes from.</summary>
public interface ITokenSource
{
    ValueTask<string> GetTokenAsync(CancellationToken cancellationToken);

    /// <summary>The server refused the token: the next one must be fresh.</summary>
    void Invalidate();
}

/// <summary>A token that never changes.</summary>
public sealed class StaticToken(string token) : ITokenSource
{
    public ValueTask<string> GetTokenAsync(CancellationToken cancellationToken) => new(token);

    public void Invalidate()
    {
    }
}

/// <summary>A token in a file that somebody rotates, such as a service account's.</summary>
public sealed class FileToken : ITokenSource
{
    private readonly FileContent<string> _content;

    public FileToken(string path, TimeProvider? time = null)
        => _content = new FileContent<string>(path, Parse, time ?? TimeProvider.System);

    public ValueTask<string> GetTokenAsync(CancellationToken cancellationToken) => new(_content.Get());

    public void Invalidate() => _content.Invalidate();

    private string Parse(byte[] bytes)
    {
        string token = Encoding.UTF8.GetString(bytes).Trim();
        return token.Length > 0 ? token : throw new KubernetesConfigException(_content.Path, "", "the token file is empty");
    }
}
