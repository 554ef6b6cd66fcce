#ifndef ADL_SERVER_COMMANDS_PEAK_RSS_H
#define ADL_SERVER_COMMANDS_PEAK_RSS_H

/* Returns the peak resident set size of this process so far, in MiB. */
double adl_peak_rss_mib(void);

#endif
