/* SPDX-License-Identifier: BSD-3-Clause
 * log_sink.h - where the lines of a node's log go
 */
#ifndef CORE_ENGINE_LOG_SINK_H
#define CORE_ENGINE_LOG_SINK_H

#include "core/state/conf_file.h"

/* From here on what the calling thread logs goes to config's log_file, to
 * standard error, or to the program that the node is in. 0 or a negative errno
 * with one line in err. */
int log_sink_open(const struct ts_config *config, char err[static 256]);

/* Standard error is the one that the program has when a line comes, not the
 * thread's own, and none that is a network connection. For a thread that has
 * its own table of descriptors, which gives up its standard error here, if it
 * may fetch the program's. */
void log_sink_follow_program(void);

#endif
