/* SPDX-License-Identifier: BSD-3-Clause
 * cli_metrics.c - tsrun metrics: the counters, as Prometheus reads them
 */
#include "core/engine/cli_internal.h"

#include "core/engine/local_client.h"

static int on_data(void *ctx, const char *data, size_t len)
{
	(void)ctx;
	if (data)
		fwrite(data, 1, len, stdout);
	return 0;
}

int cli_metrics(const struct cli *cli)
{
	char err[256] = "";
	int code = local_client_stream(cli->socket, "GET",
				       "/localapi/v0/usermetrics", on_data,
				       NULL, err);

	return code ? cli_fail(err) : 0;
}
