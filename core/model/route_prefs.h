/* SPDX-License-Identifier: BSD-3-Clause
 * route_prefs.h - what the user wants of routes, in upstream's JSON
 *
 * The part of ipn.Prefs that is about other networks: what we offer to route
 * for others, and through whom everything of ours goes.
 * Source: ipn/prefs.go (AdvertiseRoutes, ExitNode*, AutoExitNode)
 */
#ifndef CORE_MODEL_ROUTE_PREFS_H
#define CORE_MODEL_ROUTE_PREFS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"

struct ts_route_prefs {
	/* An exit node offers both default routes. */
	struct ts_prefix *advertise;
	size_t advertise_count;
	char *exit_node_id;	   /* stable ID, or NULL */
	struct ts_ip exit_node_ip; /* until a node has it; ::: none */
	/* As the user wrote it, until the netmap says whom it names: a name or
	 * a stable ID. Not in the JSON. */
	char *exit_node_name;
	char *auto_exit_node;  /* "any", or NULL */
	char *exit_node_prior; /* the one before it was switched off, or NULL */
	bool allow_lan;	       /* the LAN stays where it is */
};

/* The names of the fields in JSON, NULL at the end. */
extern const char *const TS_ROUTE_PREFS_FIELDS[];

void ts_route_prefs_deinit(struct ts_route_prefs *prefs);
/* Replaces the list. 0 or -ENOMEM (then nothing changed). */
int ts_route_prefs_set_advertised(struct ts_route_prefs *prefs,
				  const struct ts_prefix *routes, size_t count);
/* "" and NULL: none; an address, "auto:any", or a name. 0 or -ENOMEM (then
 * nothing changed). */
int ts_route_prefs_set_exit_node(struct ts_route_prefs *prefs,
				 const char *text);
/* The exit node off, to be remembered, or that one on again. 0 (also when it is
 * so already), -ENOENT (there was none) or -ENOMEM. */
int ts_route_prefs_switch_exit(struct ts_route_prefs *prefs, bool on);
/* Is one wanted, whether it is there or not? */
bool ts_route_prefs_want_exit(const struct ts_route_prefs *prefs);
bool ts_route_prefs_offer_exit(const struct ts_route_prefs *prefs, bool v6);
/* out is zero before. 0 or -ENOMEM. */
int ts_route_prefs_read(const json_t *root, struct ts_route_prefs *out);
void ts_route_prefs_write(const struct ts_route_prefs *prefs, json_t *root);

#endif
