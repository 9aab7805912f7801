/* SPDX-License-Identifier: BSD-3-Clause
 * auth_source.h - where the auth keys of logins come from
 *
 * Chosen from the settings once, at the start (core/control/auth_choice.h). A
 * key that was given is the node's from then on; one that has to be made is
 * made when the node asks for it, and made again later if that did not work.
 */
#ifndef CORE_ENGINE_AUTH_SOURCE_H
#define CORE_ENGINE_AUTH_SOURCE_H

#include <stdbool.h>

struct auth_source;
struct ts_engine;

/* Needs the engine's loop and HTTP client, before there is a node. The secrets
 * of the configuration move in here. 0, -EINVAL (what is wrong with the
 * settings in err), -ENOMEM. */
int auth_source_open(struct ts_engine *engine, char err[static 256]);
/* While there is a node. NULL is fine. */
void auth_source_close(struct auth_source *source);
/* The key that was given, or NULL. */
const char *auth_source_given(const struct auth_source *source);
/* Are keys made here? */
bool auth_source_makes(const struct auth_source *source);
/* ts_node_io.want_auth_key; ctx: the engine */
void auth_source_want(void *ctx);

#endif
