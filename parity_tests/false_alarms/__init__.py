"""The rate of false alarms: pairs that are known to be equal, judged as everything else is.

The twin of the mutation score. Official Magenta is recorded with many models and seeds; then official Magenta under
other conditions (threads, oneDNN, order of summation) and our port under other conditions (vector instructions,
threads) answer the same recordings. Every "different" is a false alarm.
"""
