/* SPDX-License-Identifier: BSD-3-Clause
 * metrics_routes.c - GET usermetrics, metrics: Prometheus' text
 *
 * Upstream shows its internal ones to writers only; so do we.
 * Source: ipn/localapi/localapi.go (serveMetrics, serveUserMetrics)
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/localapi/localapi_internal.h"

void localapi_user_metrics(const struct localapi_call *call)
{
	localapi_reply_text(call, 200,
			    "text/plain;version=0.0.4;charset=utf-8",
			    ts_node_user_metrics(call->node));
}

void localapi_client_metrics(const struct localapi_call *call)
{
	char *own = ts_node_client_metrics(call->node);
	char *callers = localapi_caller_metrics(call->api);
	char *text = NULL;

	if (own && callers && asprintf(&text, "%s%s", own, callers) < 0)
		text = NULL;
	free(own);
	free(callers);
	localapi_reply_text(call, 200, "text/plain", text);
}
