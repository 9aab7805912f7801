/* SPDX-License-Identifier: BSD-3-Clause
 * prefs.h - a profile's preferences and persistent keys, in upstream's JSON
 *
 * The JSON forms are those of ipn.Prefs, persist.Persist and ipn.LoginProfile
 * so that a state directory moves between tsnet and us. Fields that we do not
 * know are kept as read and written back.
 * Source: ipn/prefs.go, types/persist/persist.go, ipn/ipnlocal/profiles.go
 */
#ifndef CORE_MODEL_PREFS_H
#define CORE_MODEL_PREFS_H

#include <jansson.h>
#include <stdbool.h>

#include "core/crypto/keys.h"
#include "core/model/route_prefs.h"

struct ts_persist {
	struct ts_private_key node_key;	    /* zero: none */
	struct ts_private_key old_node_key; /* zero: none */
	struct ts_nl_private_key nl_key;
	char *node_id; /* stable ID or NULL */
	int64_t user_id;
	char *login_name, *display_name, *profile_pic_url;
};

struct ts_prefs {
	char *control_url, *hostname;
	bool route_all, corp_dns, want_running, logged_out, shields_up;
	char **advertise_tags;
	size_t advertise_tag_count;
	struct ts_route_prefs routes;
	char *profile_name;
	char *operator_user; /* may use the LocalAPI as root may; or NULL */
	struct ts_persist persist;
	json_t *unknown; /* other fields as read; object, never NULL */
};

void ts_prefs_init_default(struct ts_prefs *prefs); /* upstream's defaults */
void ts_prefs_deinit(struct ts_prefs *prefs);	    /* wipes keys */
/* Its keys and identity alone: nobody's afterwards. */
void ts_persist_deinit(struct ts_persist *persist);
/* 0, -EBADMSG (what is wrong in err, one line), -ENOMEM */
int ts_prefs_from_json(const char *text, size_t len, struct ts_prefs *out,
		       char err[static 128]);
/* Heap text, caller wipes and frees. with_keys=false zeroes private keys, as
 * the LocalAPI does. */
char *ts_prefs_to_json(const struct ts_prefs *prefs, bool with_keys);
/* The same as an object, without keys, which the caller decrefs; and back: root
 * becomes what of it is not known. */
json_t *ts_prefs_to_object(const struct ts_prefs *prefs);
int ts_prefs_from_object(json_t *root, struct ts_prefs *out,
			 char err[static 128]);

#endif
