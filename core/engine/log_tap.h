/* log_tap.h - who reads the log of this thread beside its sink, and what of it
 * is shown in spite of the level
 *
 * Of the calling thread, as the sink's destination is.
 */
#ifndef CORE_ENGINE_LOG_TAP_H
#define CORE_ENGINE_LOG_TAP_H

#include <stdbool.h>

#include "core/base/log.h"

struct ts_log_tap;

void log_tap_open(struct ts_log_tap *tap);
void log_tap_close(struct ts_log_tap *tap);
void log_taps_tell(enum ts_log_level level, const char *line);

/* Parts of the node that can be shown down to debug, by upstream's names where
 * it has them. */
enum { LOG_COMPONENTS = 6 };
/* -1: there is no such component. */
int log_component_find(const char *name);
void log_component_show(int component, bool is_shown);
bool log_component_is_shown(const char *line);

#endif
