"""The rate of false alarms: pairs that are known to be equal, judged by the same rules as everything else.

The counterpart of the mutation score. Official Magenta is recorded with many models and seeds. Then official Magenta
under other conditions (threads, oneDNN, order of summation) and our port under other conditions (vector instructions,
threads) answer the same recordings. Every "different" is a false alarm.
"""
