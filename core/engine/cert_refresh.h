/* SPDX-License-Identifier: BSD-3-Clause
 * cert_refresh.h - which certificates are kept fresh though nobody asks
 */
#ifndef CORE_ENGINE_CERT_REFRESH_H
#define CORE_ENGINE_CERT_REFRESH_H

#include <stdbool.h>

struct ts_engine;

/* Goes through them; has_listeners: programs' are behind TLS. For certs.c. */
void cert_refresh(struct ts_engine *engine, bool has_listeners);

#endif
