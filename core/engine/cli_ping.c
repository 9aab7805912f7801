/* SPDX-License-Identifier: BSD-3-Clause
 * cli_ping.c - tsrun ping: is it there, how far, by which path?
 */
#include "core/engine/cli_internal.h"

#include <unistd.h>

#include "core/base/addr.h"

enum { PING_PAUSE_S = 1 };

static const char *type_of(const struct cli *cli)
{
	return cli->tsmp      ? "TSMP"
	       : cli->icmp    ? "ICMP"
	       : cli->peerapi ? "peerapi"
			      : "disco";
}

static int resolve_target(const struct cli *cli, char ip[static TS_IP_TEXT_CAP])
{
	json_t *body = NULL, *node;
	struct ts_ip addr;
	int code;

	if (ts_ip_parse(cli_arg(cli, 0), &addr) == 0) {
		ts_ip_format(&addr, ip);
		return 0;
	}
	code = cli_ask(cli, "GET", "/localapi/v0/status", &body);
	if (code)
		return code;
	node = cli_find_node(body, cli_arg(cli, 0));
	if (node)
		snprintf(ip, TS_IP_TEXT_CAP, "%s", cli_first_ip(node));
	json_decref(body);
	return node ? 0 : cli_fail("no such node");
}

static bool print_pong(const struct cli *cli, const json_t *body)
{
	const char *err = cli_text(body, "Err");
	const char *endpoint = cli_text(body, "Endpoint");
	const char *relay = cli_text(body, "PeerRelay");
	char via[128];
	double ms = 1e3 * json_real_value(json_object_get(body,
							  "LatencySeconds"));

	if (*err) {
		printf("no pong from %s: %s\n", cli_text(body, "IP"), err);
		return false;
	}
	if (cli->peerapi)
		snprintf(via, sizeof(via), "%.100s",
			 cli_text(body, "PeerAPIURL"));
	else if (cli->tsmp || cli->icmp)
		snprintf(via, sizeof(via), "%s", type_of(cli));
	else if (*endpoint)
		snprintf(via, sizeof(via), "%s", endpoint);
	else if (*relay)
		snprintf(via, sizeof(via), "peer-relay(%s)", relay);
	else
		snprintf(via, sizeof(via), "DERP(%s)",
			 cli_text(body, "DERPRegionCode"));
	printf("pong from %s (%s) via %s in %.2f ms\n",
	       cli_text(body, "NodeName"), cli_text(body, "IP"), via, ms);
	return true;
}

/* Until a pong came by a direct path (of other kinds: any), or the count is
 * over. */
int cli_ping(const struct cli *cli)
{
	char ip[TS_IP_TEXT_CAP], path[CLI_PATH_CAP];
	int code, answered = 0;

	if (!cli_arg(cli, 0))
		return cli_fail("ping needs a name or an address");
	code = resolve_target(cli, ip);
	if (code)
		return code;
	snprintf(path, sizeof(path), "/localapi/v0/ping?ip=%s&type=%s", ip,
		 type_of(cli));
	for (int i = 0; i < cli->ping_count; i++) {
		json_t *body = NULL;
		bool ok, direct;

		if (i > 0)
			sleep(PING_PAUSE_S);
		code = cli_ask(cli, "POST", path, &body);
		if (code)
			return code;
		direct = *cli_text(body, "Endpoint") != '\0' || cli->tsmp ||
			 cli->icmp || cli->peerapi;
		ok = *cli_text(body, "Err") == '\0';
		answered += ok;
		if (cli->json)
			cli_print_json(body);
		else {
			print_pong(cli, body);
			json_decref(body);
		}
		fflush(stdout);
		if (ok && direct)
			break;
	}
	return answered > 0 ? 0 : 1;
}
