package train

import (
	"encoding/json"
	"fmt"
	"os"
)

// logFiles are the files that get a line for each epoch.
type logFiles struct{ csv, json *os.File }

const csvHeader = "epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,images_per_s,seconds\n"

// open creates the files; a resumed run goes on where they end.
func (l *logFiles) open(csv, jsonl string, resumed bool) (err error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if resumed {
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	if csv != "" {
		if l.csv, err = os.OpenFile(csv, flags, 0o644); err != nil {
			return err
		}
		if info, err := l.csv.Stat(); err == nil && info.Size() == 0 {
			if _, err := l.csv.WriteString(csvHeader); err != nil {
				return err
			}
		}
	}
	if jsonl != "" {
		l.json, err = os.OpenFile(jsonl, flags, 0o644)
	}
	return err
}

func (l *logFiles) write(e Epoch) error {
	if l.csv != nil {
		val := ",,"
		if e.Validated {
			val = fmt.Sprintf("%.6f,%.3f,%.3f", e.ValLoss, e.ValTop1, e.ValTop5)
		}
		if _, err := fmt.Fprintf(l.csv, "%d,%d,%.6g,%.6f,%.3f,%s,%.1f,%.1f\n", e.Epoch, e.Step, e.LR, e.Loss, e.Top1, val, e.ImagesPerS, e.TotalSecond); err != nil {
			return err
		}
	}
	if l.json != nil {
		return json.NewEncoder(l.json).Encode(e)
	}
	return nil
}

func (l *logFiles) close() {
	for _, f := range []*os.File{l.csv, l.json} {
		if f != nil {
			_ = f.Close() // every line was checked when it was written
		}
	}
}
