"""Where the words of a sweep stand: its block of arguments, a course, a job, a row of the table. Pure data.

A *course* is a history to trade on (one symbol of a sweep over symbols, or all there is); a *job* is one combination on
one course; its outcome is a *row* of float64 words.
"""

from typing import Final

from pairsim.research.summary import SUMMARY_WORDS

# The block of arguments of a thread: addresses and lengths. LAST is behind the last job, NEXT the one to go on with.
(W_RUN, W_JOBS, W_JOB_WORDS, W_NEXT, W_LAST, W_COURSES, W_RECORD_WORDS, W_STATE_WORDS, W_PORTFOLIO_WORDS, W_COLUMNS,
 W_ROWS, W_TALLY, W_HELD, W_TRIPS, W_PAIRS, W_RETURNS, W_BLOCKS, W_BLOCK, W_BOOK, SWEEP_WORDS) = range(20)  # fmt: skip

# A course: addresses of its candles, series and slices, what a run begins with, and the ends of its days and periods.
(K_TIMES, K_MARKET, K_OPEN, K_HIGH, K_LOW, K_CLOSE, K_VOLUME, K_CANDLES, K_SERIES, K_DECIDED, K_MARKS, K_COUNT,
 K_SLICES, K_SLICE_COUNT, K_STATE, K_PORTFOLIO, K_DAY_ENDS, K_DAYS, K_YEAR, K_PERIOD_ENDS, K_PERIODS, K_FROM,
 COURSE_WORDS) = range(23)  # fmt: skip

# A job: its course, how many candles its indicators need, then the strategy's record and the addresses of its columns.
J_COURSE, J_WARMUP, J_RECORD = 0, 1, 2

# A row: the summary, then what else is known of the run. CODE is 0, or what the loop said of a strategy that failed in
# slice AT. MEAN … KURTOSIS are of the returns of PERIODS; of these, block by block, the sum and the sum of squares.
(X_ORDERS, X_FILLS, X_EVALUATED, X_SKIPPED, X_CODE, X_AT, X_MEAN, X_DEVIATION, X_SKEW, X_KURTOSIS,
 X_SUMS) = range(SUMMARY_WORDS, SUMMARY_WORDS + 11)  # fmt: skip
BLOCKS: Final = 16  # as in Bailey, Borwein, López de Prado and Zhu (2015), section 4
ROW_WORDS: Final = X_SUMS + 2 * BLOCKS
