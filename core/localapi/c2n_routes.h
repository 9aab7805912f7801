/* SPDX-License-Identifier: BSD-3-Clause
 * c2n_routes.h - what the control server may ask this node
 */
#ifndef CORE_LOCALAPI_C2N_ROUTES_H
#define CORE_LOCALAPI_C2N_ROUTES_H

#include "core/control/c2n.h"
#include "core/localapi/localapi.h"
#include "core/node/node.h"

/* A path that is not known leaves reply as it was. env may be NULL; what it
 * lacks is what this node does not have. */
void ts_localapi_c2n(struct ts_node *node,
		     const struct ts_localapi_env *env, void *env_ctx,
		     const struct ts_c2n_request *request,
		     struct ts_c2n_reply *reply, int64_t now_unix);

#endif
