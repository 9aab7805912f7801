/* SPDX-License-Identifier: BSD-3-Clause
 * kube_store.h - the state in a Kubernetes Secret, by the API server
 */
#ifndef CORE_ENGINE_KUBE_STORE_H
#define CORE_ENGINE_KUBE_STORE_H

#include "core/engine/state_store.h"
#include "core/state/conf_file.h"

/* The Secret config->kube_secret in the pod's own namespace. The API server is
 * where KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT_HTTPS (or _PORT) of
 * env say, else kubernetes.default.svc. NULL: err says why. */
struct state_store *kube_store_new(struct ts_state *state,
				   struct ts_loop *loop,
				   struct ts_http_client *http,
				   const struct ts_config *config, char **env,
				   char err[static 256]);

#endif
