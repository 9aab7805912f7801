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
#include "core/control/control_targets.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/model/login_server.h"

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

bool localapi_prefs_move(const struct ts_node *node,
			 const struct ts_prefs *next)
{
	return !ts_login_server_is_same(ts_node_control_url(node),
					next->control_url);
}

/* A login profile remembers how its server was written: so do we. */
static bool keep_spelling(const struct ts_node *node, struct ts_prefs *next)
{
	const char *now = ts_node_control_url(node);
	char *copy = now ? strdup(now) : NULL;

	if (now && !copy)
		return false;
	free(next->control_url);
	next->control_url = copy;
	return true;
}

static bool server_is_possible(const struct ts_node *node,
			       struct ts_prefs *next, char err[static 256])
{
	struct ts_control_url url;

	if (!localapi_prefs_move(node, next)) {
		snprintf(err, 256, "out of memory");
		return keep_spelling(node, next);
	}
	if (ts_login_server_is_default(next->control_url) ||
	    ts_control_url_parse(next->control_url, &url) == 0)
		return true;
	snprintf(err, 256, "the control server has to be http://HOST or "
		 "https://HOST, not %.100s", next->control_url);
	return false;
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
	return server_is_possible(node, next, err);
}

bool localapi_prefs_stay_here(const struct ts_node *node,
			      const struct ts_prefs *next, char err[static 256])
{
	if (!localapi_prefs_move(node, next))
		return true;
	snprintf(err, 256, "another control server takes another login: "
		 "tailscale up --login-server=%.100s --force-reauth, or "
		 "tailscale login", next->control_url);
	return false;
}
