/* SPDX-License-Identifier: BSD-3-Clause
 * cli_internal.h - what the verbs of tsrun share (private to core/engine/cli*)
 */
#ifndef CORE_ENGINE_CLI_INTERNAL_H
#define CORE_ENGINE_CLI_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CLI_EXIT_USAGE = 64, CLI_PATH_CAP = 512, CLI_ARGS_MAX = 16 };

struct cli {
	char *socket; /* of the node; NULL: none was found, where that may be */
	const char *args[CLI_ARGS_MAX]; /* without options */
	size_t arg_count;
	bool json, watch;
	bool tsmp, icmp, peerapi; /* ping: none of them is disco */
	int ping_count;
	const char *node;   /* of several, its section; NULL: not named */
	const char *out;    /* capture: a file, "-": standard output */
	char no_node[256];  /* why there is no socket */
};

/* The n-th argument, or NULL. */
const char *cli_arg(const struct cli *cli, size_t n);
/* "tsrun: TEXT" on standard error; 1. */
int cli_fail(const char *text);
/* The LocalAPI's answer, the caller's; or an exit status after cli_fail(). */
int cli_ask(const struct cli *cli, const char *method, const char *path,
	    json_t **out);
/* Text of a member, or "". */
const char *cli_text(const json_t *object, const char *key);
/* Indented, takes over body; 0. */
int cli_print_json(json_t *body);

/* cli_choose.c: the socket of one of several nodes, if there are several. 0, or
 * -errno with no_node set. */
int cli_choose_node(struct cli *cli);

/* cli_nodes.c: nodes in a Status */
const char *cli_first_ip(const json_t *peer); /* or "-" */
/* By name or address, borrowed; NULL: none. */
json_t *cli_find_node(const json_t *status, const char *name);

/* The verbs; each returns an exit status. */
int cli_status(const struct cli *cli);	  /* cli_status.c */
int cli_ip(const struct cli *cli);	  /* cli_nodes.c */
int cli_whois(const struct cli *cli);	  /* cli_nodes.c */
int cli_ping(const struct cli *cli);	  /* cli_ping.c */
int cli_netcheck(const struct cli *cli);  /* cli_netcheck.c */
int cli_capture(const struct cli *cli);	  /* cli_capture.c */
int cli_metrics(const struct cli *cli);	  /* cli_metrics.c */
int cli_doctor(const struct cli *cli);	  /* doctor.c */
int cli_dns(const struct cli *cli);	  /* cli_dns.c */

#endif
