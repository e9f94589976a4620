// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cni;

namespace Axoneme.Agent.Cni;

/// <summary>A request that cannot be served, with the code that tells the runtime whether to try again.</summary>
internal sealed class CniException(CniErrorCode code, string details, Exception? cause = null) : Exception(details, cause)
{
    public CniErrorCode Code { get; } = code;
}
