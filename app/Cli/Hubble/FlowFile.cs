// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Axoneme.Hubble.Api;
using Google.Protobuf;

namespace Axoneme.Cli.Hubble;

/// <summary>Flows as JSON, one a line: what a server sent, what an exporter wrote, or flows alone.</summary>
internal static class FlowFile
{
    /// <param name="path">- is the standard input.</param>
    /// <param name="cancellation">Ends the reading.</param>
    /// <exception cref="UserErrorException">The file cannot be read, or a line is no flow; the message says which.</exception>
    public static async IAsyncEnumerable<GetFlowsResponse> ReadAsync(string path, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var parser = new JsonParser(JsonParser.Settings.Default.WithIgnoreUnknownFields(true));
        using TextReader reader = Open(path);
        int line = 0;
        while (await reader.ReadLineAsync(cancellation).ConfigureAwait(false) is { } text)
        {
            line++;
            if (text.AsSpan().Trim().IsEmpty)
                continue;
            GetFlowsResponse response;
            try
            {
                response = parser.Parse<GetFlowsResponse>(text);
                if (response.ResponseTypesCase == GetFlowsResponse.ResponseTypesOneofCase.None)
                    response = new GetFlowsResponse { Flow = parser.Parse<Flow>(text) };
                response.Time ??= response.Flow?.Time;
            }
            catch (Exception e) when (e is InvalidJsonException or InvalidProtocolBufferException)
            {
                throw new UserErrorException($"{path}:{line}: {e.Message}");
            }

            yield return response;
        }
    }

    private static TextReader Open(string path)
    {
        try
        {
            return path == "-" ? Console.In : new StreamReader(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException(e.Message);
        }
    }
}
