/* SPDX-License-Identifier: BSD-3-Clause
 * shim_host.h - what libtsnet_shim.so calls in libtsnet.so
 */
#ifndef CORE_ENGINE_SHIM_HOST_H
#define CORE_ENGINE_SHIM_HOST_H

#include <stddef.h>

/* Make sure that a host for this process's configuration runs - here on a
 * thread, or in the process that holds the state directory's lock - and tell
 * its broker's names ("" when there is none of that kind). Returns as soon as
 * the broker answers, long before the node is up. Any thread; 0 or a negative
 * errno with one line in err. */
__attribute__((visibility("default"))) int
tsnet_shim_host_start(char *broker_path, size_t path_cap,
		      char *broker_abstract, size_t abstract_cap, char *err,
		      size_t err_cap);

#endif
