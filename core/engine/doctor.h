/* SPDX-License-Identifier: BSD-3-Clause
 * doctor.h - what the checks of tsrun doctor share
 */
#ifndef CORE_ENGINE_DOCTOR_H
#define CORE_ENGINE_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "core/engine/cli_internal.h"
#include "core/model/netmap.h"
#include "core/state/conf_file.h"

enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_SKIPPED,
	DOCTOR_WARNING,
	DOCTOR_FAILED
};

struct doctor {
	const struct cli *cli;
	const char *program; /* or NULL */
	struct ts_config config;
	bool has_config;
	json_t *status;		     /* of the running node, or NULL */
	struct ts_derp_map *derp_map; /* or NULL */
	json_t *findings;	     /* array */
	bool has_failed;
};

/* What was found about name ("control"), and what to do about it (or NULL). */
void doctor_say(struct doctor *d, const char *name,
		enum doctor_verdict verdict, const char *advice,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Is a node running, and on its tailnet? */
bool doctor_has_node(const struct doctor *d);

/* doctor_local.c: this machine */
void doctor_check_state(struct doctor *d);
void doctor_check_names(struct doctor *d);
void doctor_check_preload(struct doctor *d);
void doctor_check_seccomp(struct doctor *d);
/* doctor_control.c: name, connection, certificate, key, clock */
void doctor_check_control(struct doctor *d);
/* doctor_relays.c: DERP by HTTPS, then UDP and the gateway */
void doctor_check_relays(struct doctor *d);
void doctor_check_udp(struct doctor *d);

#endif
