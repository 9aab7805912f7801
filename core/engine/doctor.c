/* SPDX-License-Identifier: BSD-3-Clause
 * doctor.c - tsrun doctor: would a node work here, and if not, why?
 *
 * Each check is made by itself, with the code that a node uses, so that it
 * also tells something where no node starts. What a running node knows better
 * is asked there. A finding says what is, and where that is not good, what to
 * do. Nothing is changed, and no more is asked of others than a node would.
 */
#include "core/engine/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/config_load.h"
#include "core/engine/local_client.h"
#include "core/model/netmap_edit.h"

enum { TEXT_CAP = 512 };

static const char *const verdict_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_SKIPPED] = "skipped",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_FAILED] = "failed",
};

static void print_finding(const json_t *finding)
{
	const char *advice = cli_text(finding, "Advice");

	printf("%-8s %-9s %s\n", cli_text(finding, "Verdict"),
	       cli_text(finding, "Check"), cli_text(finding, "Text"));
	if (*advice)
		printf("%18s -> %s\n", "", advice);
	fflush(stdout);
}

void doctor_say(struct doctor *d, const char *name,
		enum doctor_verdict verdict, const char *advice,
		const char *fmt, ...)
{
	char text[TEXT_CAP];
	va_list args;
	json_t *finding;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	finding = json_pack("{s:s, s:s, s:s}", "Check", name, "Verdict",
			    verdict_names[verdict], "Text", text);
	if (finding && advice)
		json_object_set_new(finding, "Advice", json_string(advice));
	if (!d->cli->json)
		print_finding(finding);
	json_array_append_new(d->findings, finding);
	d->has_failed |= verdict == DOCTOR_FAILED;
}

bool doctor_has_node(const struct doctor *d)
{
	return d->status && strcmp(cli_text(d->status, "BackendState"),
				   "Running") == 0;
}

/* -- settings, and a running node ----------------------------------------- */
/* Whose settings: those of the program that it is about. */
static void name_program(const char *program)
{
	const char *slash = strrchr(program, '/');

	setenv("TSNET_PROGRAM", slash ? slash + 1 : program, 0);
}

static void check_settings(struct doctor *d)
{
	char err[256];

	/* Else our own name would stand there, as the node's. */
	name_program(d->program ? d->program : "COMMAND");
	if (config_load_from_environment(&d->config, err)) {
		doctor_say(d, "settings", DOCTOR_FAILED,
			   "correct it, see tsnet.conf(5)", "%s", err);
		return;
	}
	d->has_config = true;
	doctor_say(d, "settings", DOCTOR_OK, NULL,
		   "node \"%s\" of %s, auth key %s", d->config.hostname,
		   d->config.control_url,
		   d->config.auth_key ? "given" : "not given");
}

static const char *advice_for(const char *state)
{
	if (strcmp(state, "NeedsLogin") == 0)
		return "give it an auth key (TS_AUTHKEY), or visit the address "
		       "of the login page that its log names";
	if (strcmp(state, "NeedsMachineAuth") == 0)
		return "approve it in the admin console, Machines";
	if (strcmp(state, "Stopped") == 0)
		return "tailscale --socket=... up";
	return "wait, and look at the node's log (--log-level info)";
}

static void check_node(struct doctor *d)
{
	const char *state;
	char err[256];
	size_t i;
	json_t *item;

	if (!d->cli->socket) {
		doctor_say(d, "node", DOCTOR_SKIPPED, NULL, "%s",
			   d->cli->no_node);
		return;
	}
	if (local_client_request(d->cli->socket, "GET",
				 "/localapi/v0/status?peers=false", &d->status,
				 err)) {
		doctor_say(d, "node", DOCTOR_FAILED,
			   "is it still running? else remove the socket",
			   "%s", err);
		return;
	}
	state = cli_text(d->status, "BackendState");
	if (doctor_has_node(d))
		doctor_say(d, "node", DOCTOR_OK, NULL, "%s is up as %s",
			   cli_text(json_object_get(d->status, "Self"),
				    "HostName"),
			   cli_first_ip(json_object_get(d->status, "Self")));
	else
		doctor_say(d, "node", DOCTOR_FAILED, advice_for(state),
			   "state %s %s", state,
			   cli_text(d->status, "AuthURL"));
	json_array_foreach(json_object_get(d->status, "Health"), i, item)
		doctor_say(d, "health", DOCTOR_WARNING, NULL, "%s",
			   json_string_value(item));
}

/* -- all ------------------------------------------------------------------ */
static void print_result(const struct doctor *d)
{
	if (d->cli->json)
		cli_print_json(json_pack("{s:s, s:b, s:O}", "Version",
					 TSNET_VERSION, "Works",
					 !d->has_failed, "Checks",
					 d->findings));
	else if (d->has_failed)
		puts("\nA node would not work here, or not as it should.");
	else
		puts("\nNothing keeps a node from working here.");
}

int cli_doctor(const struct cli *cli)
{
	struct doctor d = {.cli = cli, .program = cli_arg(cli, 0),
			   .findings = json_array()};

	if (ts_crypto_init())
		return cli_fail("doctor: no randomness");
	check_settings(&d);
	check_node(&d);
	if (d.has_config) {
		doctor_check_state(&d);
		doctor_check_control(&d);
		doctor_check_relays(&d);
		doctor_check_udp(&d);
	}
	doctor_check_names(&d);
	doctor_check_preload(&d);
	doctor_check_seccomp(&d);
	print_result(&d);
	ts_derp_map_free(d.derp_map);
	json_decref(d.status);
	json_decref(d.findings);
	ts_config_deinit(&d.config);
	return d.has_failed;
}
