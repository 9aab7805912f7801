/* SPDX-License-Identifier: BSD-3-Clause
 * prefs_rules.c - preferences that this node cannot have
 *
 * What would have no effect is refused with the reason, rather than stored and
 * shown as if it had one.
 * Source: ipn/ipnlocal/local.go (checkPrefsLocked)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

#define DEFAULT_CONTROL_URL "https://controlplane.tailscale.com"
#define LOGIN_URL "https://login.tailscale.com"

/* Those of which true would be a promise. */
static const struct {
	const char *field, *why;
} refused[] = {
	{"RunSSH", "the Tailscale SSH server is not part of this node"},
	{"RunWebClient", "the web client is not part of this node"},
	{"RemoteConfig", "this node is not configured from the control plane"},
	{"NoSNAT", "this node forwards with its host's own address: "
		   "source NAT cannot be switched off"},
};

static bool same_server(const char *a, const char *b)
{
	size_t a_len, b_len;

	if (!a || !*a || strcmp(a, LOGIN_URL) == 0)
		a = DEFAULT_CONTROL_URL;
	if (!b || !*b || strcmp(b, LOGIN_URL) == 0)
		b = DEFAULT_CONTROL_URL;
	a_len = strlen(a);
	b_len = strlen(b);
	while (a_len > 0 && a[a_len - 1] == '/')
		a_len--;
	while (b_len > 0 && b[b_len - 1] == '/')
		b_len--;
	return a_len == b_len && strncmp(a, b, a_len) == 0;
}

/* The link to the server is made for one; keep its spelling. */
static bool keeps_server(const struct ts_node *node, struct ts_prefs *next,
			 char err[static 256])
{
	const char *now = ts_node_control_url(node);
	char *copy;

	if (!same_server(now, next->control_url)) {
		snprintf(err, 256,
			 "this node belongs to the control server %.100s, as "
			 "its control_url says: it cannot be changed while the "
			 "node runs", now);
		return false;
	}
	copy = now ? strdup(now) : NULL;
	free(next->control_url);
	next->control_url = copy;
	return true;
}

static const char *refusal(const struct ts_prefs *next)
{
	const json_t *rest = next->unknown;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (ts_json_bool(rest, refused[i].field))
			return refused[i].why;
	if (ts_json_opt_bool(rest, "Sync") == TS_NO)
		return "this node cannot stop following its control server "
		       "and stay up";
	if (ts_json_bool(ts_json_object(rest, "AppConnector"), "Advertise"))
		return "this node cannot be an app connector";
	if (ts_json_bool(ts_json_object(rest, "AutoUpdate"), "Apply"))
		return "automatic updates are not supported: the system's "
		       "packages update this node";
	if (ts_json_get(rest, "RelayServerPort"))
		return "this node cannot be a peer relay";
	if (json_array_size(ts_json_array(rest, "DriveShares")) > 0)
		return "this node cannot share drives";
	return NULL;
}

bool localapi_prefs_are_possible(const struct ts_node *node,
				 struct ts_prefs *next, char err[static 256])
{
	enum { HOSTNAME_MAX = 253 };
	const char *why = refusal(next);

	if (next->logged_out && !ts_node_prefs(node)->logged_out)
		why = "LoggedOut follows from a logout";
	if (next->hostname && strlen(next->hostname) > HOSTNAME_MAX)
		why = "the hostname is too long";
	if (why) {
		snprintf(err, 256, "%s", why);
		return false;
	}
	return keeps_server(node, next, err);
}
