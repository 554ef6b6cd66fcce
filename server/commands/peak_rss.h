#ifndef ADL_SERVER_COMMANDS_PEAK_RSS_H
#define ADL_SERVER_COMMANDS_PEAK_RSS_H

/* MiB of this process that were resident at most so far. */
double adl_peak_rss_mib(void);

#endif
